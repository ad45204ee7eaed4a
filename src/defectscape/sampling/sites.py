"""The host's possible point defects, under names of ours, and their unrelaxed supercells.

doped enumerates the defects. Its names contain bond lengths and so change with the volume; ours are
built from the elements and, where a site is one of several inequivalent ones, an index: ordered by
the lowest unit-cell atom of the orbit, interstitials by ``place_in_cell``. They stay the same when the host is relaxed.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pymatgen.core.periodic_table import Element

from defectscape.domain.errors import DefectError, HostError
from defectscape.domain.family import UNPERTURBED, unperturbed_family
from defectscape.domain.frame import Floats, Frame, Ints, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey, format_charge
from defectscape.domain.site import DefectSite, HostCrystal, PointSite
from defectscape.files.quiet import quiet
from defectscape.files.structures import to_structure
from defectscape.sampling.host import unit_cell_indices
from defectscape.sampling.orbits import (
    CrystalSymmetry,
    are_equivalent,
    crystal_symmetry,
    place_in_cell,
    site_multiplicity,
)

log = logging.getLogger(__name__)

MATCH_A = 0.1
"""doped's sites lie this close to atoms of the host."""
KINDS = ("vacancy", "substitution", "interstitial")


def enumerate_sites(
    host: HostCrystal, *, interstitials: bool = False, extrinsic: Sequence[str] = ()
) -> tuple[DefectSite, ...]:
    """All vacancies and antisites of the host, one per orbit.

    Args:
        host: the crystal with its supercell.
        interstitials: also the Voronoi interstitials that doped finds.
        extrinsic: symbols of impurities, as substitutions (and interstitials, if asked for).

    Raises:
        DefectError: if an impurity is no element, or doped's sites are not the host's.
        HostError: if doped cannot work with the crystal.
    """
    for symbol in extrinsic:
        if not Element.is_valid_symbol(symbol):
            raise DefectError("extrinsic element", repr(symbol), "Give a chemical symbol")
        if not Element(symbol).common_oxidation_states:
            remedy = "doped needs one to make a defect; take this defect out"
            raise DefectError("dopant", f"{symbol} has no common oxidation state", remedy)
    entries, offset = _doped_entries(host, interstitials, extrinsic)
    symmetry = crystal_symmetry(host)
    owners = unit_cell_indices(host)
    drafts = [_draft(entry, offset, host, owners, symmetry) for entry in entries]
    drafts.sort(key=lambda draft: (KINDS.index(draft[1].kind), draft[1].name, *draft[0]))
    return _indexed([site for _, site in drafts])


def _doped_entries(host: HostCrystal, interstitials: bool, extrinsic: Sequence[str]) -> tuple[list[Any], Floats]:
    """doped's neutral entries, and the fractional shift from doped's supercell to ours."""
    structure = to_structure(host.numbers, host.positions_A, host.cell_A)
    with quiet("doped"):
        from doped.generation import DefectsGenerator

        try:
            generator = DefectsGenerator(
                structure,
                extrinsic=list(extrinsic),
                generate_supercell=False,
                processes=1,
                interstitial_gen_kwargs={} if interstitials else False,
                neutral_only=True,
            )
        except (ValueError, RuntimeError, TypeError) as error:
            raise HostError("host", f"{host.formula}: doped fails with {error}", "Check the host file") from error
    bulk = generator.bulk_supercell
    # doped may rebuild the supercell from its own primitive cell, displaced by a rigid shift.
    if np.allclose(bulk.lattice.matrix, host.cell_A, atol=1e-4):
        fracs = np.asarray(structure.frac_coords)
        mine = [site.specie.Z for site in bulk]
        for target in fracs[host.numbers == mine[0]]:
            offset = target - np.asarray(bulk.frac_coords)[0]
            if _coincide(np.asarray(bulk.frac_coords) + offset, mine, host):
                return list(generator.defect_entries.values()), offset
    raise HostError("host supercell", host.formula, "doped changed it; give a standard or primitive host cell")


def _coincide(fracs: Floats, numbers: Sequence[int], host: HostCrystal) -> bool:
    """Whether atoms at these fractions sit on the host's supercell atoms."""
    owned = host.positions_A @ np.linalg.inv(host.cell_A)
    gaps = fracs[:, None, :] - owned[None, :, :]
    gaps -= np.rint(gaps)
    near = np.linalg.norm(gaps @ host.cell_A, axis=2) < MATCH_A
    same = np.asarray(numbers)[:, None] == host.numbers[None, :]
    return bool((near & same).any(axis=1).all())


def _draft(
    entry: Any, offset: Floats, host: HostCrystal, owners: Ints, symmetry: CrystalSymmetry
) -> tuple[tuple[float, ...], DefectSite]:
    """The site of one doped entry without its index, and what it is ordered by."""
    kind = entry.defect.defect_type.name.lower()
    added = None if kind == "vacancy" else entry.defect_supercell_site.specie.symbol
    frac = (np.asarray(entry.defect_supercell_site.frac_coords) + offset) % 1.0
    to_unit = host.cell_A @ np.linalg.inv(host.unit_cell_A)
    removed = None
    multiplicity = site_multiplicity(symmetry, frac @ to_unit)
    rank: tuple[float, ...] = (multiplicity, place_in_cell(symmetry, frac @ to_unit))
    if kind != "interstitial":
        orbit = _orbit_atoms(frac @ to_unit, host, owners, symmetry)
        if not orbit:
            raise DefectError("doped entry", entry.name, "Its site is no atom of the host")
        removed, rank = Element.from_Z(int(host.numbers[orbit[0]])).symbol, (int(owners[orbit[0]]),)
        frac = host.positions_A[orbit[0]] @ np.linalg.inv(host.cell_A) % 1.0
    name = f"{added or 'v'}_{removed}" if kind != "interstitial" else f"i_{added}"
    x, y, z = (round(float(value), 10) for value in frac)
    return rank, DefectSite(
        name=name,
        doped_name=entry.name.rpartition("_")[0],
        kind=kind,
        added=added,
        removed=removed,
        frac_coords=(x, y, z),
        multiplicity=multiplicity,
    )


def _orbit_atoms(unit_frac: Floats, host: HostCrystal, owners: Ints, symmetry: CrystalSymmetry) -> list[int]:
    """Supercell atoms equivalent to a point, lowest unit-cell atom, then lowest index, first."""
    fracs = host.unit_positions_A @ np.linalg.inv(host.unit_cell_A)
    units = [unit for unit, own in enumerate(fracs) if are_equivalent(symmetry, own, unit_frac)]
    atoms = [atom for atom, unit in enumerate(owners.tolist()) if unit in units]
    return sorted(atoms, key=lambda atom: (int(owners[atom]), atom))


def _indexed(sites: Sequence[DefectSite]) -> tuple[DefectSite, ...]:
    """Sites of a shared name get _1, _2, ... in the given order."""
    names = [site.name for site in sites]
    seen: dict[str, int] = {}
    numbered = []
    for site in sites:
        seen[site.name] = seen.get(site.name, 0) + 1
        several = names.count(site.name) > 1
        name = f"{site.name}_{seen[site.name]}" if several else site.name
        numbered.append(replace(site, name=name))
    return tuple(numbered)


def defect_frame(host: HostCrystal, site: DefectSite, charge: int, multiplicity: int | None = None) -> Frame:
    """The unrelaxed defect supercell: the host's atoms with one removed, replaced or added; of a pair, two.

    Atoms keep the host's order; the added atom comes last among those of its element, and an
    impurity last of all.

    Args:
        host: the perfect supercell.
        site: the defect.
        charge: units of e.
        multiplicity: of the spin, 2S + 1; None for the lowest.

    Raises:
        DefectError: if no atom of the right element is at the site, no electron is left, or the electrons cannot have
            that multiplicity.
    """
    key = DefectKey(site.name, charge)
    numbers, positions = host.numbers, host.positions_A
    for point in site.points:
        numbers, positions = _changed(host, numbers, positions, point)
    if int(numbers.sum()) - charge <= 0:
        raise DefectError(
            f"charge of {site.name}",
            format_charge(charge),
            f"It leaves none of the supercell's {int(numbers.sum())} electrons",
        )
    return Frame(
        numbers,
        positions,
        host.cell_A,
        key,
        _spin(numbers, key, multiplicity),
        Origin.START,
        unperturbed_family(site.name),
        None,
        UNPERTURBED,
    )


def _changed(host: HostCrystal, numbers: Ints, positions: Floats, point: PointSite) -> tuple[Ints, Floats]:
    """Atoms (n,), (n, 3) with one point defect more among them."""
    place = np.asarray(point.frac_coords) @ host.cell_A
    if point.removed is not None:
        atom = closest_atom(positions, host.cell_A, place)
        if int(numbers[atom]) != Element(point.removed).Z:
            raise DefectError(
                f"site of {point.name}",
                f"the host has {Element.from_Z(int(numbers[atom])).symbol} there",
                "The site table belongs to another host; enumerate the sites again",
            )
        place = positions[atom]
        numbers, positions = np.delete(numbers, atom), np.delete(positions, atom, axis=0)
    if point.added is not None:
        added = Element(point.added).Z
        same = np.flatnonzero(numbers == added)
        index = int(same[-1]) + 1 if len(same) else len(numbers)
        numbers = np.insert(numbers, index, added)
        positions = np.insert(positions, index, place, axis=0)
    return numbers, positions


def _spin(numbers: Ints, key: DefectKey, stated: int | None) -> int:
    """The multiplicity that is stated, or the lowest.

    Raises:
        DefectError: if the number of electrons does not allow it.
    """
    lowest = lowest_multiplicity(numbers, key.charge)
    if stated is not None and (stated - lowest) % 2:
        raise DefectError(
            f"multiplicities of {key.defect}",
            f"{stated} of {key} is impossible with {int(numbers.sum()) - key.charge} electrons",
            f"Give {'an odd' if lowest == 1 else 'an even'} one: number of unpaired electrons plus one",
        )
    return lowest if stated is None else stated


def closest_atom(positions_A: Floats, cell_A: Floats, place_A: Floats) -> int:
    """Index of the atom closest to a place (3,), images included."""
    gaps = (positions_A - place_A) @ np.linalg.inv(cell_A)
    gaps -= np.rint(gaps)
    return int(np.argmin(np.linalg.norm(gaps @ cell_A, axis=1)))
