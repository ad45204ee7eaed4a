"""Electrostatic potentials at the atoms, from a potential on a grid.

A positive charge's potential in volts. Only differences between supercells of one engine count, so any
window of one size around the atoms will do; a Gaussian is smooth on the grid.
"""

import numpy as np

from defectscape.domain.frame import Floats

WINDOW_A = 0.5
"""Standard deviation of the Gaussian window, A."""


def potentials_at(grid_V: Floats, cell_A: Floats, positions_A: Floats) -> Floats:
    """Averages of a periodic potential in Gaussian windows, (n,), V.

    Args:
        grid_V: the potential on a grid along the lattice vectors, (n1, n2, n3), V.
        cell_A: lattice vectors in rows, (3, 3), A.
        positions_A: centres of the windows, (n, 3), A.
    """
    shape = grid_V.shape
    waves = np.fft.fftn(grid_V) / grid_V.size
    indices = [np.fft.fftfreq(size, 1.0 / size) for size in shape]
    steps = np.stack(np.meshgrid(*indices, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = steps @ (2 * np.pi * np.linalg.inv(cell_A).T)
    damped = waves.ravel() * np.exp(-0.5 * WINDOW_A**2 * np.sum(vectors**2, axis=1))
    kept = np.abs(damped) > 1e-12 * np.abs(damped).max()
    phases = np.exp(1j * (positions_A @ vectors[kept].T))
    return np.asarray((phases @ damped[kept]).real)
