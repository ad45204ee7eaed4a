"""Which atom of a defect supercell is on which site of the host.

The first step of naming a structure: a rigid drift is removed, then atoms are assigned to sites of their own element,
and what is left over to empty sites of any element. Shared sites and names are ``reconstruction``'s.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from defectscape.domain.frame import Floats, Frame, Ints
from defectscape.domain.site import HostCrystal
from defectscape.sampling.identification import LEFT_SHARE, check_cell, rigid_shift_A

ON_SITE = 0.5
"""An atom is on a site within this fraction of the host's nearest-neighbour distance: such spheres around two sites
never overlap. In the lowest structures of data/sb2se3 atoms that stay on their sites are within 0.44 of it, atoms
that leave are 0.60 and more away."""
DISPLACED = 0.75
"""An atom this close to the empty site of its own element, in the same unit, is displaced: no Frenkel pair. The
interstices next to a site are further away: 0.87 in rock salt, 1 in zinc blende."""
_ROUNDS = 10
"""Most repetitions of drift and nearest sites."""
EMPTY = -1
"""Atom of a site that has none."""


@dataclass(frozen=True, eq=False)
class Occupation:
    """The host's sites with their atoms.

    Attributes:
        atoms: shape (sites,), index of the atom on each host site, ``EMPTY`` where there is none.
        sites: shape (atoms,), the host site of each atom, ``EMPTY`` for loose ones.
        own: shape (atoms,), whether each atom is on a site of its own element.
        away_A: shape (atoms, sites), distances of all atoms from all sites, drift removed, A.
        positions_A: shape (atoms, 3), the structure's positions, drift removed, A.
        spacing_A: nearest-neighbour distance of the host, A.
    """

    atoms: Ints
    sites: Ints
    own: NDArray[np.bool_]
    away_A: Floats
    positions_A: Floats
    spacing_A: float

    @property
    def loose(self) -> tuple[int, ...]:
        """Atoms on no site."""
        return tuple(np.flatnonzero(self.sites == EMPTY).tolist())

    @property
    def vacant(self) -> tuple[int, ...]:
        """Host sites without an atom."""
        return tuple(np.flatnonzero(self.atoms == EMPTY).tolist())


def occupation(host: HostCrystal, frame: Frame) -> Occupation:
    """Assign the atoms of a structure to the host's sites.

    Args:
        host: the perfect supercell.
        frame: a structure in it, atoms in any order, as a whole shifted at will.

    Raises:
        DefectError: if the frame's cell is not the host's.
    """
    check_cell(host, frame.cell_A)
    spacing_A = nearest_neighbour_A(host)
    positions_A = _without_drift(host, frame, ON_SITE * spacing_A)
    away_A = np.linalg.norm(_vectors(host, positions_A), axis=2)
    atoms = _assigned(host, frame.numbers, away_A, spacing_A)
    held = np.flatnonzero(atoms != EMPTY)
    sites = np.full(len(frame), EMPTY)
    sites[atoms[held]] = held
    own = (sites != EMPTY) & (host.numbers[sites] == frame.numbers)
    return Occupation(atoms, sites, own, away_A, positions_A, spacing_A)


def nearest_neighbour_A(host: HostCrystal) -> float:
    """Shortest distance between two atoms of the host, A."""
    gaps = np.linalg.norm(_vectors(host, host.positions_A), axis=2)
    return float(np.min(gaps[~np.eye(len(gaps), dtype=bool)]))


def _without_drift(host: HostCrystal, frame: Frame, reach_A: float) -> Floats:
    """Positions less the rigid shift between structure and host: the median over the atoms near their sites.

    A search for the shift from any origin is slow: it is the last resort.
    """
    same = frame.numbers[:, None] == host.numbers[None, :]
    positions_A = _settled(host, same, frame.positions_A)
    if _left_share(host, same, positions_A, reach_A) > LEFT_SHARE:
        shift = rigid_shift_A(host, frame.numbers, frame.positions_A)
        positions_A = _settled(host, same, frame.positions_A - shift)
    return positions_A


def _settled(host: HostCrystal, same: np.ndarray, positions_A: Floats) -> Floats:
    for _ in range(_ROUNDS):
        nearest, _ = _nearest(host, same, positions_A)
        shift = np.median(nearest, axis=0)
        positions_A = positions_A - shift
        if np.linalg.norm(shift) < 1e-6:
            break
    return positions_A


def _left_share(host: HostCrystal, same: np.ndarray, positions_A: Floats, reach_A: float) -> float:
    _, lengths = _nearest(host, same, positions_A)
    return float(np.mean(lengths > reach_A))


def _nearest(host: HostCrystal, same: np.ndarray, positions_A: Floats) -> tuple[Floats, Floats]:
    """Vectors (k, 3) and lengths (k,) from the closest site of its element to each atom that has one, A."""
    vectors = _vectors(host, positions_A)
    lengths = np.where(same, np.linalg.norm(vectors, axis=2), np.inf)
    closest = lengths.argmin(axis=1)
    rows = np.flatnonzero(np.any(same, axis=1))
    return vectors[rows, closest[rows]], lengths[rows, closest[rows]]


def _vectors(host: HostCrystal, positions_A: Floats) -> Floats:
    """Shortest vectors (n, m, 3) from every host site to every atom, A."""
    fracs = (positions_A[:, None, :] - host.positions_A[None, :, :]) @ np.linalg.inv(host.cell_A)
    return np.asarray((fracs - np.rint(fracs)) @ host.cell_A)


def _assigned(host: HostCrystal, numbers: Ints, away_A: Floats, spacing_A: float) -> Ints:
    """The atom of each site: first of the site's own element, then of any other, then displaced ones."""
    atoms = np.full(len(host.numbers), EMPTY)
    for elements, reach in ((True, ON_SITE), (False, ON_SITE), (True, DISPLACED)):
        free = np.setdiff1d(np.arange(len(numbers)), atoms)
        empty = np.flatnonzero(atoms == EMPTY)
        if not elements:
            _place(atoms, free, empty, away_A, reach * spacing_A)
            continue
        for number in np.unique(numbers[free]):
            mine, theirs = free[numbers[free] == number], empty[host.numbers[empty] == number]
            _place(atoms, mine, theirs, away_A, reach * spacing_A)
    return atoms


def _place(atoms: Ints, mine: Ints, theirs: Ints, away_A: Floats, reach_A: float) -> None:
    """Put atoms onto sites within reach. Squared distances are capped there, so that one atom far from its site does
    not shift a row of others."""
    gaps = away_A[np.ix_(mine, theirs)]
    rows, columns = linear_sum_assignment(np.minimum(gaps, reach_A) ** 2)
    for row, column in zip(rows, columns, strict=True):
        if gaps[row, column] < reach_A:
            atoms[theirs[column]] = mine[row]
