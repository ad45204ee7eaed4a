"""Lengths in a crystal: distances between its atoms, which are too short, and how far starts and rattles move atoms.

Distances are under periodic boundaries. Lengths of starts and rattles are given in A, or as fractions of a
bond length.
"""

from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii
from ase.geometry import find_mic, get_distances

from defectscape.domain.frame import Floats, Ints
from defectscape.domain.site import HostCrystal
from defectscape.settings.sampling import SamplingSettings

COVALENT_SHARE = 0.65
"""Two atoms are too close below this share of the sum of their covalent radii (ase.data, Cordero et al., Dalton
Trans. 2008, 2832): below any bond, of H2 (1.19) and TiO2 (0.86) to uranyl (0.68), and above what distortions make
of two atoms that they push into one another."""


def closest_allowed_A(numbers: Ints, limit_A: float | None) -> Floats:
    """Smallest distance that each pair of atoms may have, shape (n, n), A.

    Args:
        numbers: atomic numbers, shape (n,).
        limit_A: one distance for all pairs, A; None for what follows from the elements.
    """
    if limit_A is not None:
        return np.full((len(numbers), len(numbers)), limit_A)
    radii = np.asarray(covalent_radii)[numbers]
    return COVALENT_SHARE * np.add.outer(radii, radii)


def too_close(numbers: Ints, positions_A: Floats, cell_A: Floats, limit_A: float | None) -> bool:
    """Whether two atoms are closer than ``closest_allowed_A``, images included.

    Args:
        numbers: atomic numbers, shape (n,).
        positions_A: Cartesian positions, shape (n, 3), A.
        cell_A: lattice vectors in rows, shape (3, 3), A.
        limit_A: as there.
    """
    if len(numbers) < 2:
        return False
    _, distances = get_distances(positions_A, cell=cell_A, pbc=True)
    pairs = np.triu_indices(len(numbers), 1)
    return bool(np.any(distances[pairs] < closest_allowed_A(numbers, limit_A)[pairs]))


def shortest_distance_A(positions_A: Floats, cell_A: Floats) -> float:
    """Shortest distance between two atoms, images included, A.

    Args:
        positions_A: Cartesian positions, shape (n, 3), A; infinity for a single atom.
        cell_A: lattice vectors in rows, shape (3, 3), A.
    """
    count = len(positions_A)
    if count < 2:
        return float("inf")
    _, distances = get_distances(positions_A, cell=cell_A, pbc=True)
    return float(np.min(distances[np.triu_indices(count, 1)]))


def displacements_A(start_A: Floats, end_A: Floats, cell_A: Floats) -> Floats:
    """Shortest displacement of every atom from ``start_A`` to ``end_A``, shape (n, 3), A."""
    vectors, _ = find_mic(np.asarray(end_A) - np.asarray(start_A), cell_A, pbc=True)
    return np.asarray(vectors, dtype=np.float64)


DIGITS = 4
"""Lengths are rounded to so many digits of A: seeds and notes are made of them."""


@dataclass(frozen=True)
class Lengths:
    """Lengths of sampling in one crystal.

    Attributes:
        start_rattle_A: standard deviation of the rattle of every start, A.
        rattle_amplitudes_A: those of the dense rattles, A.
        off_centre_A: how far an added atom starts off its site, A; None where that is not tried.
    """

    start_rattle_A: float
    rattle_amplitudes_A: tuple[float, ...]
    off_centre_A: float | None


def bond_length_A(host: HostCrystal) -> float:
    """The shortest distance between two atoms of the perfect crystal, A."""
    return shortest_distance_A(host.positions_A, host.cell_A)


def sampling_lengths(sampling: SamplingSettings, host: HostCrystal) -> Lengths:
    """The lengths that a study's sampling means in its host: those in A where given, else fractions of its bond."""
    bond_A = bond_length_A(host)

    def length_A(given_A: float | None, fraction: float) -> float:
        return round(fraction * bond_A, DIGITS) if given_A is None else given_A

    off_centre_A = sampling.off_centre_A
    if off_centre_A is None and sampling.off_centre is not None:
        off_centre_A = length_A(None, sampling.off_centre)
    amplitudes_A = sampling.rattle_amplitudes_A or [length_A(None, share) for share in sampling.rattle_amplitudes]
    return Lengths(length_A(sampling.start_rattle_A, sampling.start_rattle), tuple(amplitudes_A), off_centre_A)
