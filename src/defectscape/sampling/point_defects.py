"""Detection of a point defect in what should be a perfect crystal.

A supercell with one point defect keeps the translations of its parent lattice for all atoms but
one or two: the atom that lands on a vacancy, the interstitial, the antisite and the atom that lands
on it. In a perfect crystal a lattice translation maps every atom, and what is no translation fails
for a whole sublattice. Translations that almost hold, and whose few failures all sit in one place,
therefore betray a point defect. A displacive distortion (a tilted or polar crystal) moves atoms by
less than the tolerance, so it maps every atom and is not mistaken for a defect.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from defectscape.domain.frame import Floats
from defectscape.files.structures import atomic_numbers

TOLERANCE_A = 0.8
"""A relaxed or rattled atom still counts as being on its lattice site."""
TOLERANCE_OF_NEAREST = 0.35
"""... but never further from it than this fraction of the shortest distance between atoms."""
SHARE_FEW = 0.07
"""Share of atoms that may fail a translation if the cell holds two or three parent cells."""
SHARE_MANY = 0.16
"""... if it holds four or more."""
MAX_FAILING = 2
"""Atoms that fail a translation because of one point defect (two for an antisite)."""
REFERENCES = 8
"""Atoms of the commonest element whose vectors to the others are tried as translations."""


@dataclass(frozen=True)
class PointDefect:
    """Evidence of a point defect.

    Attributes:
        frac_coords: where all failures of the translations meet, fractional.
        translations: translations found that almost hold.
        mapped: atoms that the best of them maps onto atoms of the same element.
        atoms: atoms in the cell.
    """

    frac_coords: tuple[float, float, float]
    translations: int
    mapped: int
    atoms: int


def find_point_defect(structure: Structure) -> PointDefect | None:
    """The point defect of a supercell that should be perfect, or None.

    Args:
        structure: an ordered crystal, in any cell.
    """
    if len(structure) < 7:
        return None
    cell = structure.get_reduced_structure("niggli")
    species = atomic_numbers(cell)
    fracs = np.asarray(cell.frac_coords) % 1.0
    matrix = np.asarray(cell.lattice.matrix)
    near = cell.distance_matrix + np.where(np.eye(len(cell)), np.inf, 0.0)
    tolerance = min(TOLERANCE_A, TOLERANCE_OF_NEAREST * float(near.min()))
    values, counts = np.unique(species, return_counts=True)
    common = np.flatnonzero(species == values[np.argmax(counts)])
    picks = np.unique(np.linspace(0, len(common) - 1, min(REFERENCES, len(common))).astype(int))
    for reference in common[picks]:
        found = _from_reference(int(reference), common, species, fracs, matrix, tolerance)
        if found is not None:
            return found
    return None


def _from_reference(
    reference: int,
    common: NDArray,
    species: NDArray,
    fracs: Floats,
    matrix: Floats,
    tolerance_A: float,
) -> PointDefect | None:
    """Try the vectors from one atom to others of its element as translations of a parent."""
    failures: list[Floats] = []
    fewest = len(species)
    for other in common:
        if other == reference:
            continue
        translation = fracs[other] - fracs[reference]
        unmapped = _unmapped(translation, species, fracs, matrix, tolerance_A)
        if 0 < len(unmapped) <= MAX_FAILING:
            failures.append(np.concatenate([fracs[unmapped], fracs[unmapped] + translation]))
            fewest = min(fewest, len(unmapped))
    share = SHARE_MANY if len(failures) >= 3 else SHARE_FEW
    if not failures or fewest > share * len(species):
        return None
    place = _common_place(failures, matrix, tolerance_A)
    if place is None:
        return None
    x, y, z = (float(round(value, 4)) for value in place % 1.0)
    return PointDefect((x, y, z), len(failures), len(species) - fewest, len(species))


def _unmapped(translation: Floats, species: NDArray, fracs: Floats, matrix: Floats, tolerance_A: float) -> NDArray:
    """Indices of atoms that the translation does not bring onto an atom of their own element."""
    gaps = fracs[:, None, :] + translation - fracs[None, :, :]
    gaps -= np.rint(gaps)
    distances = np.linalg.norm(gaps @ matrix, axis=2)
    onto = (distances < tolerance_A) & (species[:, None] == species[None, :])
    return np.flatnonzero(~onto.any(axis=1))


def _common_place(failures: list[Floats], matrix: Floats, tolerance_A: float) -> Floats | None:
    """The place that every failing translation has among its failures, or None."""
    for place in failures[0]:
        if all(_closest_A(place, others, matrix) < 2 * tolerance_A for others in failures):
            return place
    return None


def _closest_A(place: Floats, others: Floats, matrix: Floats) -> float:
    gaps = others - place
    gaps -= np.rint(gaps)
    return float(np.linalg.norm(gaps @ matrix, axis=1).min())
