"""Sites by the names that people type, and what tells one site from another.

A name is ours, doped's, or either without what is not needed to tell sites apart. In words a site is its Wyckoff
position, its place in the unit cell, and its neighbours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import spglib
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element

from defectscape.domain.errors import DefectError, HostError
from defectscape.domain.frame import Floats
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.domain.spelling import is_pair, names_meant, says, turned
from defectscape.sampling.host_checks import TIGHT_A
from defectscape.sampling.orbits import COINCIDE_A, crystal_symmetry, images

SHELL = 1.2
"""Atoms within this factor of the nearest distance are the neighbours that are named."""
GAP_A = 0.15
"""Atoms of one element whose distances are further apart are named one by one."""
REACH_A = 6.0
"""Every site has an atom closer than this; where it has not, twice the distance is looked at, and so on."""
MARK = 200
"""No element has this atomic number: it marks the orbit whose Wyckoff position is asked for."""


@dataclass(frozen=True)
class SiteWords:
    """A row of the table of sites.

    Attributes:
        site: which one.
        wyckoff: multiplicity in the conventional cell and letter, by spglib: ``4a``.
        unit_frac_coords: where it is in the host file's cell, fractions of its vectors.
        neighbours: the host's atoms around it: ``4 Te 2.81``, ``3 Se 2.60-2.77``, distances in A.
    """

    site: DefectSite
    wyckoff: str
    unit_frac_coords: tuple[float, float, float]
    neighbours: str

    @property
    def short(self) -> str:
        """In a sentence: ``i_Cd_1 (Cd_i_Td_Te2.83, 4b, 4 Te 2.83, 6 Cd 3.27 A)``."""
        return f"{self.site.name} ({self.site.doped_name}, {self.wyckoff}, {self.neighbours} A)"


def describe_sites(host: HostCrystal, sites: Sequence[DefectSite]) -> tuple[SiteWords, ...]:
    """The table of the sites, in their order."""
    to_unit = host.cell_A @ np.linalg.inv(host.unit_cell_A)
    places = {site.name: _snapped(host, np.asarray(site.frac_coords) @ to_unit) for site in sites}
    found: dict[tuple[float, ...], tuple[str, str]] = {}
    rows = []
    for site in sites:
        x, y, z = (float(value) for value in places[site.name].round(6) % 1.0)
        if (x, y, z) not in found:
            found[x, y, z] = wyckoff(host, places[site.name]), neighbours(host, places[site.name])
        rows.append(SiteWords(site, found[x, y, z][0], (x, y, z), found[x, y, z][1]))
    return tuple(rows)


def _snapped(host: HostCrystal, frac: Floats) -> Floats:
    """The point moved onto the symmetry elements that it lies on, unit-cell fractions (3,)."""
    gaps = images(crystal_symmetry(host), frac) - frac
    gaps -= np.rint(gaps)
    near = np.linalg.norm(gaps @ host.unit_cell_A, axis=1) < COINCIDE_A
    return np.asarray(frac + gaps[near].mean(axis=0))


def wyckoff(host: HostCrystal, frac: Floats) -> str:
    """The Wyckoff position of a point, unit-cell fractions (3,): ``4a``.

    Raises:
        HostError: if spglib finds no symmetry.
    """
    cell = _standard_cell(host)
    point = cell.transformation_matrix @ frac + cell.origin_shift
    operations: Any = spglib.get_symmetry_from_database(cell.hall_number)
    orbit: list[Floats] = []
    for image in operations["rotations"] @ point + operations["translations"]:
        if all(_gap_A(cell.std_lattice, image, other) > COINCIDE_A for other in orbit):
            orbit.append(image)
    atoms = cell.std_positions
    kept = [
        n for n, atom in enumerate(atoms) if all(_gap_A(cell.std_lattice, atom, image) > COINCIDE_A for image in orbit)
    ]
    numbers = [MARK] * len(orbit) + cell.std_types[kept].tolist()
    marked = _dataset(host, cell.std_lattice, np.concatenate([np.array(orbit), atoms[kept]]), numbers)
    return f"{len(orbit)}{marked.wyckoffs[0]}"


@lru_cache(maxsize=8)
def _standard_cell(host: HostCrystal) -> Any:
    """spglib's conventional cell of the host, in which letters are defined, and the way to it."""
    fracs = host.unit_positions_A @ np.linalg.inv(host.unit_cell_A)
    return _dataset(host, host.unit_cell_A, fracs, host.unit_numbers)


def _dataset(host: HostCrystal, cell_A: Floats, fracs: Floats, numbers: Any) -> Any:
    cell: Any = cell_A, fracs, numbers
    found = spglib.get_symmetry_dataset(cell, symprec=TIGHT_A)
    if found is None:
        raise HostError("host", host.formula, "spglib finds no symmetry; check the coordinates")
    return found


def _gap_A(cell_A: Floats, one: Floats, other: Floats) -> float:
    gap = one - other
    return float(np.linalg.norm((gap - np.rint(gap)) @ cell_A))


def neighbours(host: HostCrystal, frac: Floats) -> str:
    """The host's atoms around a point, unit-cell fractions (3,), in words; an atom at the point is none of them."""
    lattice, atoms = Lattice(host.unit_cell_A), host.unit_positions_A @ np.linalg.inv(host.unit_cell_A)
    reach_A = REACH_A
    while True:
        found: Any = lattice.get_points_in_sphere(atoms, frac @ host.unit_cell_A, reach_A, zip_results=False)
        distances, indices = np.asarray(found[1], dtype=float), np.asarray(found[2], dtype=int)
        others = distances > COINCIDE_A
        if others.any() and SHELL * distances[others].min() < reach_A:
            break
        reach_A *= 2
    nearest_A = distances[others].min()
    shell = others & (distances <= SHELL * nearest_A)
    numbers = host.unit_numbers[indices]
    groups = []
    for number in np.unique(numbers[shell]):
        lengths = np.sort(distances[shell & (numbers == number)])
        groups += [(number, part) for part in np.split(lengths, np.flatnonzero(np.diff(lengths) > GAP_A) + 1)]
    words = []
    for number, lengths in sorted(groups, key=lambda group: float(group[1][0])):
        low, high = f"{lengths[0]:.2f}", f"{lengths[-1]:.2f}"
        words.append(f"{len(lengths)} {Element.from_Z(int(number)).symbol} {low if low == high else f'{low}-{high}'}")
    return ", ".join(words)


def pick_site(sites: Iterable[DefectSite], name: str, host: HostCrystal | None = None) -> DefectSite:
    """The site that a name means.

    Args:
        sites: the site table.
        name: our name; doped's, whole or without its last words (``Cd_i_C3v``); or ours without its index (``i_Cd``),
            where the host has one such site.
        host: the host, so that an error can say what tells its sites apart.

    Raises:
        DefectError: for a name of no site, or of several, listing those that can be meant.
    """
    table = {site.name: site for site in sites}
    typed = turned(name)
    if typed in table:
        return table[typed]
    if is_pair(typed):
        listed_pairs = ", ".join(name for name in table if is_pair(name)) or "none"
        remedy = f"Name it among the study's defects; of pairs the study has {listed_pairs}"
        raise DefectError("defect", repr(name), remedy)
    # A pair is known by its own name alone: what doped calls its partners begins like what it calls one of them.
    table = {name: site for name, site in table.items() if not site.partners}
    meant = names_meant(typed, {site.name: site.doped_name for site in table.values()})
    clear = [table[ours] for ours in meant if says(typed, *_said(table[ours]))]
    if len(meant) == len(clear) == 1:
        return clear[0]
    if len(meant) > 1:
        told = list(meant) if host is None else [row.short for row in describe_sites(host, [table[n] for n in meant])]
        raise DefectError("defect", repr(name), f"The host has {len(meant)} such sites. Write {' or '.join(told)}")
    hint = f"Write {meant[0]}. " if meant else ""
    listed = any(site.kind == "interstitial" for site in table.values())
    kinds = "" if listed else "; interstitials are listed when one is asked for, as i_Cd_1"
    raise DefectError("defect", repr(name), f"{hint}The host has {', '.join(table)}{kinds}")


def _said(site: DefectSite) -> tuple[str, str | None, str | None]:
    return site.kind, site.added, site.removed
