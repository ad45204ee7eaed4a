"""Pairs of point defects: their shells and arrangements under the host's space group, and the site that a name means.

An arrangement is a class of pairs that symmetry connects. Vectors from one site of the first partner to the sites of
the second fall into classes under the operations that keep the first. Where both partners are of one kind, so do a
vector and its opposite as seen from the other end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from string import ascii_lowercase
from typing import Any

import numpy as np
from ase.geometry import find_mic
from pymatgen.core.lattice import Lattice

from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Floats
from defectscape.domain.site import PAIR, DefectSite, HostCrystal, PointSite
from defectscape.domain.spelling import PairName, is_pair, pair_fault, parse_pair
from defectscape.sampling.orbits import COINCIDE_A, CrystalSymmetry, crystal_symmetry, images, place_in_cell
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import closest_atom

SHELL_A = 0.15
"""Distances that differ by less from the shortest of a shell belong to it, A."""
ONE_SITE_A = 1.0
"""Two sites that are closer are one, A: no bond of the elements from Li on is as short."""
TOLD = 4
"""So many of what the supercell holds are told in errors."""
FAR = 2.5
"""Shells are named in errors up to this multiple of what the supercell holds."""


@dataclass(frozen=True)
class Arrangement:
    """Pairs that the host's symmetry connects.

    Attributes:
        shell: which distance, from 1.
        letter: which of the shell's arrangements; empty where it has one.
        distance_A: between the partners' sites, A.
        orientations: such pairs around one site of the first partner.
        multiplicity: such pairs in a primitive cell, each once.
        vector: one of them, from the first to the second, fractions of the unit cell's vectors.
    """

    shell: int
    letter: str
    distance_A: float
    orientations: int
    multiplicity: int
    vector: tuple[float, float, float]


def arrangements(host: HostCrystal, first: PointSite, second: PointSite, reach_A: float) -> tuple[Arrangement, ...]:
    """All arrangements of two partners that are closer than a distance, the nearest shell first.

    Args:
        host: the crystal.
        first, second: the partners; of one name where they are of one kind.
        reach_A: distance that is not reached, A.
    """
    symmetry = crystal_symmetry(host)
    start, other = (np.asarray(site.frac_coords) @ _to_unit(host) for site in (first, second))
    vectors = _vectors(symmetry, start, other, reach_A)
    alike = first.name == second.name
    drafts = []
    for members in _classes(symmetry, start, vectors, alike):
        ordered = first.multiplicity * len(members)
        vector = min((_tuple(vectors[k]) for k in members), key=lambda v: [round(value, 3) for value in v])
        length_A = float(np.linalg.norm(np.asarray(vector) @ host.unit_cell_A))
        place = place_in_cell(symmetry, start + np.asarray(vector) / 2)
        drafts.append((length_A, len(members), place, ordered // 2 if alike else ordered, vector))
    return _lettered(drafts)


def _tuple(vector: Floats) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 6) for value in vector)
    return x, y, z


def _to_unit(host: HostCrystal) -> Floats:
    return np.asarray(host.cell_A @ np.linalg.inv(host.unit_cell_A))


def _vectors(symmetry: CrystalSymmetry, start: Floats, other: Floats, reach_A: float) -> Floats:
    """Vectors (k, 3) from one site to all equivalents of another within reach, unit-cell fractions."""
    orbit: list[Floats] = []
    for image in images(symmetry, other):
        gaps = np.asarray(orbit).reshape(-1, 3) - image
        if not np.any(np.linalg.norm((gaps - np.rint(gaps)) @ symmetry.cell_A, axis=1) < COINCIDE_A):
            orbit.append(image)
    lattice = Lattice(symmetry.cell_A)
    centre = start @ symmetry.cell_A
    found: Any = lattice.get_points_in_sphere(np.array(orbit), centre, reach_A, zip_results=False)
    points, distances = np.asarray(found[0], dtype=float), np.asarray(found[1], dtype=float)
    vectors = points.reshape(-1, 3)[(distances > ONE_SITE_A) & (distances < reach_A)] - start
    lengths = np.linalg.norm(vectors @ symmetry.cell_A, axis=1)
    return np.asarray(vectors[np.argsort(lengths, kind="stable")])


def _classes(symmetry: CrystalSymmetry, start: Floats, vectors: Floats, alike: bool) -> list[list[int]]:
    """Indices of vectors that symmetry connects; vectors of one kind of partners also from their other end."""
    ends = images(symmetry, start)
    kept = _near(symmetry, ends, start)
    rotations = np.unique(symmetry.rotations[kept], axis=0)
    left = set(range(len(vectors)))
    found = []
    while left:
        begin = min(left)
        seeds = [vectors[begin]]
        if alike:
            reach = np.flatnonzero(_near(symmetry, ends, start + vectors[begin]))
            seeds.append(np.linalg.solve(symmetry.rotations[int(reach[0])].astype(float), -vectors[begin]))
        copies = np.concatenate([rotations @ seed for seed in seeds])
        gaps_A = np.linalg.norm((copies[:, None, :] - vectors[None, :, :]) @ symmetry.cell_A, axis=2)
        members = sorted(left.intersection(np.flatnonzero((gaps_A < COINCIDE_A).any(axis=0)).tolist()) | {begin})
        left -= set(members)
        found.append(members)
    return found


def _near(symmetry: CrystalSymmetry, points: Floats, place: Floats) -> np.ndarray:
    """Which of the points (k, 3) are at a place, lattice vectors apart."""
    gaps = points - place
    return np.asarray(np.linalg.norm((gaps - np.rint(gaps)) @ symmetry.cell_A, axis=1) < COINCIDE_A)


def _lettered(drafts: Sequence[tuple[float, int, float, int, Any]]) -> tuple[Arrangement, ...]:
    """Shells by distance; within one by what hardly changes when the host relaxes: orientations, place, distance."""
    shells: list[list[tuple[float, int, float, int, Any]]] = []
    for draft in sorted(drafts, key=lambda draft: draft[0]):
        if not shells or draft[0] - shells[-1][0][0] > SHELL_A:
            shells.append([])
        shells[-1].append(draft)
    found = []
    for number, shell in enumerate(shells, 1):
        rows = sorted(shell, key=lambda draft: (draft[1], round(draft[2], 3), draft[0]))
        for place, (length_A, ways, _, multiplicity, vector) in enumerate(rows):
            letter = ascii_lowercase[place] if len(rows) > 1 else ""
            found.append(Arrangement(number, letter, length_A, ways, multiplicity, vector))
    return tuple(found)


def with_pairs(host: HostCrystal, sites: Sequence[DefectSite], names: Iterable[str]) -> tuple[DefectSite, ...]:
    """The site table with the pairs that these names mean after it, each once.

    Raises:
        DefectError: as ``pair_site``.
    """
    pairs = {pair.name: pair for name in names if is_pair(name) for pair in [pair_site(host, sites, name)]}
    return (*sites, *pairs.values())


def pair_site(host: HostCrystal, sites: Sequence[DefectSite], name: str) -> DefectSite:
    """The site of a pair.

    Args:
        host: the crystal with its supercell.
        sites: the site table, with both partners.
        name: the pair's name; those of its partners as ``pick_site`` takes them.

    Raises:
        DefectError: for an unknown partner, a shell that the supercell cannot hold, or one of several arrangements.
    """
    fault, parsed = pair_fault(name), parse_pair(name)
    if fault is not None or parsed is None:
        raise DefectError("defect", repr(name), fault or "No pair")
    points = [site for site in sites if not site.partners]
    first, second = (_partner(points, partner, name, host) for partner in (parsed.first, parsed.second))
    called = PairName(first.name, second.name, parsed.shell, parsed.letter).ordered
    if called.first != first.name:
        first, second = second, first
    chosen = _chosen(host, called, arrangements(host, first, second, FAR * host.min_image_distance_A / 2))
    return _placed(host, called, first, second, chosen)


def _partner(points: Sequence[DefectSite], name: str, pair: str, host: HostCrystal) -> DefectSite:
    try:
        return pick_site(points, name, host)
    except DefectError as error:
        raise DefectError(f"partner of {pair}", repr(name), error.remedy) from error


def _chosen(host: HostCrystal, called: PairName, found: Sequence[Arrangement]) -> Arrangement:
    """The arrangement of a name among all."""
    half_A = host.min_image_distance_A / 2
    held = [row for row in found if row.distance_A < half_A - COINCIDE_A]
    mine = [row for row in found if row.shell == called.shell]
    if not mine or any(row not in held for row in mine):
        apart = f"{mine[0].distance_A:.2f} A" if mine else f"more than {FAR * half_A:.2f} A"
        nearer = " or ".join(_written(called, row) for row in held[:TOLD])
        need = f", or a supercell whose images are more than {2 * mine[-1].distance_A:.2f} A apart" if mine else ""
        raise DefectError(
            "defect",
            f"{str(called)!r}: its partners are {apart} apart, and half the distance of the supercell's images is "
            f"{half_A:.2f} A",
            f"Take one that the supercell holds, {nearer}{need}" if held else f"Take a larger supercell{need[4:]}",
        )
    fitting = [row for row in mine if row.letter == called.letter]
    if len(fitting) == 1:
        return fitting[0]
    count = f"has {len(mine)} such arrangements" if len(mine) > 1 else "has one such arrangement"
    written = " or ".join(_written(called, row) for row in mine)
    raise DefectError("defect", repr(str(called)), f"The host {count}. Write {written}")


def _written(called: PairName, row: Arrangement) -> str:
    """``v_Cd+Cl_Te_shell2 (5.49 A, 12 ways)``."""
    ways = "1 way" if row.orientations == 1 else f"{row.orientations} ways"
    return f"{replace(called, shell=row.shell, letter=row.letter)} ({row.distance_A:.2f} A, {ways})"


def _placed(
    host: HostCrystal, called: PairName, first: DefectSite, second: DefectSite, chosen: Arrangement
) -> DefectSite:
    """The pair in the supercell: the first partner on its own site, the second along the arrangement's vector."""
    inverse = np.linalg.inv(host.cell_A)
    begin = np.asarray(first.frac_coords)
    end = begin + np.asarray(chosen.vector) @ host.unit_cell_A @ inverse
    moved = replace(second, frac_coords=_on_atom(host, second, end))
    return _pair(host, str(called), first, moved, chosen.multiplicity)


def _on_atom(host: HostCrystal, site: PointSite, frac: Floats) -> tuple[float, float, float]:
    """A place in the supercell, that of the atom there where one is taken out."""
    if site.removed is not None:
        atom = closest_atom(host.positions_A, host.cell_A, frac @ host.cell_A)
        frac = host.positions_A[atom] @ np.linalg.inv(host.cell_A)
    return _rounded(frac)


def _rounded(frac: Floats) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 10) for value in np.asarray(frac) % 1.0)
    return x, y, z


def _pair(host: HostCrystal, name: str, first: PointSite, second: PointSite, multiplicity: int) -> DefectSite:
    centre = np.asarray(first.frac_coords) + _gap_A(host, first, second) @ np.linalg.inv(host.cell_A) / 2
    doped = f"{first.doped_name}+{second.doped_name}"
    partners = (_point(first), _point(second))
    return DefectSite(name, doped, PAIR, None, None, _rounded(centre), multiplicity, partners)


def _point(site: PointSite) -> PointSite:
    return PointSite(**{field.name: getattr(site, field.name) for field in fields(PointSite)})


def carried(
    pairs: Iterable[DefectSite], given: HostCrystal, host: HostCrystal, sites: Sequence[DefectSite]
) -> tuple[DefectSite, ...]:
    """Pairs of a host's file in the relaxed host: the same atoms, and the same sites between atoms.

    Args:
        pairs: as they are in the file's host.
        given, host: that host, and the relaxed one, with the same atoms.
        sites: the relaxed host's table, under the names of the file's.
    """
    named = {site.name: site for site in sites}
    found = []
    for pair in pairs:
        places = [_carried_place(point, named[point.name], given, host) for point in pair.partners]
        first, second = (
            replace(_point(named[point.name]), frac_coords=place)
            for point, place in zip(pair.partners, places, strict=True)
        )
        found.append(_pair(host, pair.name, first, second, pair.multiplicity))
    return tuple(found)


def _carried_place(
    point: PointSite, site: DefectSite, given: HostCrystal, host: HostCrystal
) -> tuple[float, float, float]:
    frac = np.asarray(point.frac_coords)
    if point.removed is not None:
        atom = closest_atom(given.positions_A, given.cell_A, frac @ given.cell_A)
        return _rounded(host.positions_A[atom] @ np.linalg.inv(host.cell_A))
    to_unit = _to_unit(host)
    gaps = images(crystal_symmetry(host), np.asarray(site.frac_coords) @ to_unit) - frac @ to_unit
    gaps -= np.rint(gaps)
    nearest = gaps[int(np.argmin(np.linalg.norm(gaps @ host.unit_cell_A, axis=1)))]
    return _rounded(frac + nearest @ np.linalg.inv(to_unit))


def partner_distance_A(host: HostCrystal, pair: DefectSite) -> float:
    """Distance between the sites of a pair's partners, A."""
    return float(np.linalg.norm(_gap_A(host, *pair.partners)))


def _gap_A(host: HostCrystal, first: PointSite, second: PointSite) -> Floats:
    """The shortest vector (3,) from one to the other, A."""
    gap = (np.asarray(second.frac_coords) - np.asarray(first.frac_coords)) @ host.cell_A
    return np.asarray(find_mic(gap, host.cell_A, pbc=True)[0])
