"""Checks of a host crystal before anything is built on it.

The libraries downstream accept disordered, overlapping, noisy or defective cells in silence or fail
on them obscurely, so each is refused here with its reason.
"""

import logging

import numpy as np
import spglib
from ase.data import covalent_radii
from pymatgen.core.structure import Structure

from defectscape.domain.errors import HostError
from defectscape.files.structures import atomic_numbers, spglib_cell
from defectscape.sampling.point_defects import find_point_defect

log = logging.getLogger(__name__)

SMALLEST_DISTANCE_A = 0.5
COVALENT_FRACTION = 0.6
"""Two atoms overlap below this fraction of the sum of their covalent radii."""
VACUUM_A = 8.0
"""An empty slab this thick is vacuum; van der Waals gaps stay below it."""
TIGHT_A, LOOSE_A, TIGHTEST_A = 0.01, 0.1, 0.001
"""Tolerances of the symmetry search; the first is the one used everywhere else."""


def check_host(structure: Structure, name: str, *, taken_as_perfect: bool = False, molecule: bool = False) -> None:
    """Refuse what cannot be a perfect, ordered, three-dimensional crystal.

    Args:
        structure: what the file holds.
        name: the file and what it is, for the message.
        taken_as_perfect: whether what looks like a point defect is accepted, as in ordered models of alloys.
        molecule: it is one molecule in a box, so it need be no crystal.

    Raises:
        HostError: naming the file, what is wrong with it, and the remedy.
    """
    check_order(structure, name)
    _check_volume(structure, name)
    _check_overlap(structure, name)
    if molecule:
        return
    _check_vacuum(structure, name)
    if not taken_as_perfect:
        _check_defect(structure, name)
    _check_noise(structure, name)


def check_order(structure: Structure, name: str) -> None:
    """Refuse what has anything but one whole atom of an element on every site.

    Raises:
        HostError: naming the file, the atom, and the remedy.
    """
    for index, site in enumerate(structure):
        if not site.is_ordered:
            raise HostError(
                name,
                f"atom {index + 1} has partial occupancy {site.species_string}",
                "Give an ordered cell with one whole atom on every site",
            )
        if not 1 <= getattr(site.specie, "Z", 0) <= 118:
            raise HostError(
                name,
                f"atom {index + 1} is {site.species_string!r}, not an element",
                "Give every atom a chemical symbol",
            )


def _check_volume(structure: Structure, name: str) -> None:
    volume = float(abs(np.linalg.det(structure.lattice.matrix)))
    if not volume > 1.0 * len(structure):
        raise HostError(
            name,
            f"cell volume {volume:.4g} A^3 for {len(structure)} atoms",
            "Check the lattice vectors and their units: they must span a volume in A^3",
        )


def _check_overlap(structure: Structure, name: str) -> None:
    radii = np.array([covalent_radii[number] for number in atomic_numbers(structure)])
    floor = np.maximum(SMALLEST_DISTANCE_A, COVALENT_FRACTION * (radii[:, None] + radii[None, :]))
    rows, columns = np.triu_indices(len(structure), 1)
    distances = structure.distance_matrix[rows, columns]
    bad = np.flatnonzero(distances < floor[rows, columns])
    if len(bad):
        worst = bad[np.argmin(distances[bad])]
        first, second = int(rows[worst]), int(columns[worst])
        raise HostError(
            name,
            f"atoms {first + 1} ({structure[first].specie}) and {second + 1} "
            f"({structure[second].specie}) are {distances[worst]:.2f} A apart",
            "Remove the duplicate, or check the coordinates and the lattice constant",
        )


def _check_vacuum(structure: Structure, name: str) -> None:
    reduced = structure.get_reduced_structure("niggli")
    for axis, spacing in enumerate(1.0 / np.asarray(reduced.lattice.reciprocal_lattice_crystallographic.abc)):
        places = np.sort(np.asarray(reduced.frac_coords)[:, axis] % 1.0)
        gap = float(np.max(np.diff(places, append=places[0] + 1.0))) * float(spacing)
        if gap > VACUUM_A:
            raise HostError(
                name,
                f"an empty slab of {gap:.1f} A, so it is a surface, layer, wire or molecule",
                "Give a crystal that is periodic in three dimensions, without vacuum",
            )


def _check_defect(structure: Structure, name: str) -> None:
    found = find_point_defect(structure)
    if found is not None:
        raise HostError(
            name,
            f"looks like a supercell with a point defect near fractional {found.frac_coords}: "
            f"{found.translations} translation(s) map {found.mapped} of {found.atoms} atoms onto "
            "the same element and fail only there",
            "Give the perfect unit cell; the supercell and the defects are made from it. If it is the perfect crystal, "
            "as a model of an alloy is, set host.taken_as_perfect: energies are then relative to this cell",
        )


def _group(structure: Structure, tolerance_A: float) -> str:
    """International symbol of the space group at a tolerance, P1 where none is found."""
    found = spglib.get_spacegroup(spglib_cell(structure), symprec=tolerance_A)
    return "P1" if found is None else str(found).split()[0]


def _check_noise(structure: Structure, name: str) -> None:
    tight, loose = _group(structure, TIGHT_A), _group(structure, LOOSE_A)
    if tight == loose:
        return
    # A real small distortion keeps an exact subgroup at any tolerance; noise keeps nothing, or a
    # group that depends on the tolerance.
    if tight == "P1" or _group(structure, TIGHTEST_A) != tight:
        raise HostError(
            name,
            f"space group {tight} within {TIGHT_A} A but {loose} within {LOOSE_A} A, so its symmetry is lost in noise",
            "Symmetrise it first, for instance with spglib's standardize_cell or pymatgen's "
            f"SpacegroupAnalyzer(structure, symprec={LOOSE_A}).get_refined_structure()",
        )
    log.warning(
        "host file %s: space group %s, and %s within %s A: taken as a real distortion",
        name,
        tight,
        loose,
        LOOSE_A,
    )
