"""The point defects that a structure is made of, read off the occupation of the host's sites.

Empty sites, wrong atoms and atoms between sites are point defects; two atoms that share a site are one split
interstitial, an atom halfway between two empty sites one split vacancy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from ase.geometry import find_mic

from defectscape.domain.frame import Floats, Ints
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.sampling.orbits import COINCIDE_A, crystal_symmetry, nearest_image_A
from defectscape.search.description import CENTRED_A
from defectscape.search.occupation import EMPTY, ON_SITE, Occupation

_SHARED = 0.75
"""Split interstitial: both atoms are within this fraction of the nearest-neighbour distance from the site,"""
_OFF = 0.15
"""... neither is closer to it than this fraction,"""
_OPPOSITE = -0.5
"""... and the cosine of the angle between them, seen from the site, is below this."""
_HALFWAY = 0.53
"""Split vacancy: the atom's distance to either empty site is below this share of the sum of the two."""
_REACH = 1.2
"""... and below this multiple of the nearest-neighbour distance."""


@dataclass(frozen=True)
class PointDefect:
    """One constituent of what was found.

    Attributes:
        kind: ``vacancy``, ``substitution``, ``interstitial``, ``split interstitial`` or ``split vacancy``.
        name: its name, as in the site table where that has it (``v_Sb_1``), else of the elements alone.
        elements: its name without the number of the site.
        words: what is where.
        position_A: where it is in the host's supercell, A.
    """

    kind: str
    name: str
    elements: str
    words: str
    position_A: tuple[float, float, float]


@dataclass(frozen=True)
class Constituents:
    """All point defects of a structure.

    Attributes:
        defects: substitutions first, then vacancies, then what is between sites.
        shared: pairs of atoms that share a site.
        off_centre_A: how far an added atom is from the site that gives it its name, A; 0 if it is on it, within
            0.25 A, or none was added.
    """

    defects: tuple[PointDefect, ...]
    shared: tuple[tuple[int, int], ...]
    off_centre_A: float


def constituents(host: HostCrystal, sites: Sequence[DefectSite], numbers: Ints, found: Occupation) -> Constituents:
    """Name the point defects of a structure.

    Args:
        host: the perfect supercell.
        sites: the site table, for the names of inequivalent sites.
        numbers: atomic numbers of the structure, shape (n,).
        found: its occupation of the host's sites.
    """
    reader = _Reader(host, sites, numbers, found)
    defects = reader.defects()
    return Constituents(defects, tuple(reader.shared), reader.off_centre_A())


class _Reader:
    """Reads point defects off an occupation, with the names of the site table."""

    def __init__(self, host: HostCrystal, sites: Sequence[DefectSite], numbers: Ints, found: Occupation) -> None:
        self.host, self.sites, self.numbers, self.found = host, sites, numbers, found
        self.symmetry = crystal_symmetry(host)
        self.to_unit = np.linalg.inv(host.unit_cell_A)
        self.shared: list[tuple[int, int]] = []
        self.halfway: list[int] = []
        self.places = [np.asarray(site.frac_coords) @ host.cell_A @ self.to_unit for site in sites]

    def defects(self) -> tuple[PointDefect, ...]:
        """Substitutions first, then vacancies, then what is between sites."""
        loose, vacant = set(self.found.loose), set(self.found.vacant)
        split = [*self._split_interstitials(loose, vacant), *self._split_vacancies(loose, vacant)]
        told = {*(atom for pair in self.shared for atom in pair), *self.halfway}
        wrong = [
            self._on_site(site, int(atom))
            for site, atom in enumerate(self.found.atoms)
            if atom != EMPTY and atom not in told and self.numbers[atom] != self.host.numbers[site]
        ]
        empty = [self._on_site(site, None) for site in sorted(vacant)]
        between = [self._interstitial(atom) for atom in sorted(loose)]
        rows = [*wrong, *empty, *between, *split]
        order = ("substitution", "vacancy", "interstitial", "split interstitial", "split vacancy")
        return tuple(sorted(rows, key=lambda row: (order.index(row.kind), row.name)))

    def off_centre_A(self) -> float:
        """How far an added atom is from the site that it was put on, A; 0 if it is there or none was added."""
        off = 0.0
        for site, atom in enumerate(self.found.atoms):
            if atom != EMPTY and self.numbers[atom] != self.host.numbers[site]:
                off = max(off, float(self.found.away_A[atom, site]))
        for atom in self.found.loose:
            off = max(off, self._nearest_interstitial(atom)[0])
        return off if off > CENTRED_A and np.isfinite(off) else 0.0

    def _on_site(self, site: int, atom: int | None) -> PointDefect:
        removed = chemical_symbols[self.host.numbers[site]]
        added = None if atom is None else chemical_symbols[self.numbers[atom]]
        place = self.host.positions_A[site]
        elements = f"{added or 'v'}_{removed}"
        away_A, name = self._nearest(added, removed, place)
        kind, words = "vacancy", f"the site of {removed} is empty"
        if added is not None:
            kind, words = "substitution", f"{added} is on the site of {removed}"
        return PointDefect(kind, name if away_A < COINCIDE_A else elements, elements, words, _point(place))

    def _nearest_interstitial(self, atom: int) -> tuple[float, str]:
        return self._nearest(chemical_symbols[self.numbers[atom]], None, self.found.positions_A[atom])

    def _interstitial(self, atom: int) -> PointDefect:
        elements = f"i_{chemical_symbols[self.numbers[atom]]}"
        away_A, name = self._nearest_interstitial(atom)
        close = away_A < ON_SITE * self.found.spacing_A
        site = int(np.argmin(self.found.away_A[atom]))
        nearest = chemical_symbols[self.host.numbers[site]]
        words = f"{elements[2:]} is between sites, {self.found.away_A[atom, site]:.2f} A from that of {nearest}"
        place = _point(self.found.positions_A[atom])
        return PointDefect("interstitial", name if close else elements, elements, words, place)

    def _nearest(self, added: str | None, removed: str | None, place_A: Floats) -> tuple[float, str]:
        """Distance to the closest site of the table, or an equivalent one, A, and its name."""
        return min(
            (
                (nearest_image_A(self.symmetry, frac, place_A @ self.to_unit), site.name)
                for site, frac in zip(self.sites, self.places, strict=True)
                if (site.added, site.removed) == (added, removed)
            ),
            default=(np.inf, ""),
        )

    def _split_interstitials(self, loose: set[int], vacant: set[int]) -> list[PointDefect]:
        """Takes two atoms that share a site out of what is left."""
        rows = []
        for atom in self.found.loose:
            site = int(np.argmin(self.found.away_A[atom]))
            held = int(self.found.atoms[site])
            others = loose - {atom} if held == EMPTY else {held}
            partners = [other for other in others if self._share(site, atom, other)]
            if atom not in loose or not partners:
                continue
            partner = min(partners, key=lambda other: float(self.found.away_A[other, site]))
            self.shared.append((atom, partner))
            loose -= {atom, partner}
            vacant -= {site}
            names = sorted(chemical_symbols[self.numbers[one]] for one in (atom, partner))
            element = chemical_symbols[self.host.numbers[site]]
            text = f"{'-'.join(names)} split interstitial"
            text += "" if names == [element] * 2 else f" on {element}"
            length_A = self._distance_A(atom, partner)
            words = f"{' and '.join(names)}, {length_A:.2f} A apart, share the site of {element}"
            rows.append(PointDefect("split interstitial", text, text, words, _point(self.host.positions_A[site])))
        return rows

    def _share(self, site: int, one: int, other: int) -> bool:
        away_A = self.found.away_A[[one, other], site] / self.found.spacing_A
        if away_A.max() > _SHARED or away_A.min() < _OFF:
            return False
        return self._cosine(self.host.positions_A[site], *self.found.positions_A[[one, other]]) < _OPPOSITE

    def _split_vacancies(self, loose: set[int], vacant: set[int]) -> list[PointDefect]:
        """Takes atoms halfway between two empty sites out of what is left."""
        rows = []
        candidates = [(atom, EMPTY) for atom in sorted(loose)]
        candidates += [(int(a), s) for s, a in enumerate(self.found.atoms) if a != EMPTY]
        for atom, own in candidates:
            free = sorted({*vacant, *([] if own == EMPTY else [own])})
            nearest = sorted(free, key=lambda site: float(self.found.away_A[atom, site]))[:2]
            if len(nearest) < 2 or (own != EMPTY and own not in nearest):
                continue
            ends_of = {chemical_symbols[self.host.numbers[site]] for site in nearest}
            if len(ends_of) > 1:
                continue
            away_A = self.found.away_A[atom, nearest]
            ends = self.host.positions_A[nearest]
            if away_A.max() > min(_HALFWAY * away_A.sum(), _REACH * self.found.spacing_A):
                continue
            if self._cosine(self.found.positions_A[atom], *ends) > _OPPOSITE:
                continue
            self.halfway.append(atom)
            loose -= {atom}
            vacant -= set(nearest)
            symbol, (end,) = chemical_symbols[self.numbers[atom]], ends_of
            text = f"{symbol} split vacancy" if symbol == end else f"{symbol} split vacancy of {end}"
            words = f"{symbol} is halfway between two empty sites of {end}"
            rows.append(PointDefect("split vacancy", text, text, words, _point(self.found.positions_A[atom])))
        return rows

    def _distance_A(self, one: int, other: int) -> float:
        gap = self.found.positions_A[one] - self.found.positions_A[other]
        return float(find_mic(gap, self.host.cell_A, pbc=True)[1])

    def _cosine(self, centre_A: Floats, one_A: Floats, other_A: Floats) -> float:
        (first, second), lengths = find_mic(np.stack([one_A, other_A]) - centre_A, self.host.cell_A, pbc=True)
        return float(first @ second / np.prod(lengths))


def _point(place_A: Floats) -> tuple[float, float, float]:
    x, y, z = place_A.tolist()
    return x, y, z
