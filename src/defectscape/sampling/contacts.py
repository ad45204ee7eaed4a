"""Distances between atoms under periodic boundaries: what is too short to be computed."""

import numpy as np
from ase.geometry import find_mic, get_distances

from defectscape.domain.frame import Floats


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
