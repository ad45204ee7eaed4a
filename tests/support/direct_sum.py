"""The potential of a periodic point charge, term by term in the crystal's own coordinates, for comparison."""

from itertools import product

import numpy as np
from scipy.special import erfc

E2_EV_A = 14.3996454785


def _points(vectors, metric, reach, center):
    """Lattice points with (r - center) metric (r - center) <= reach^2, whatever the shape of cell and metric."""
    inverse = np.linalg.inv(vectors)
    extents = reach * np.sqrt(np.einsum("ik,ij,jk->k", inverse, np.linalg.inv(metric), inverse))
    middle = center @ inverse
    steps = [np.arange(np.floor(m - e), np.ceil(m + e) + 1) for m, e in zip(middle, extents, strict=True)]
    points = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3) @ vectors
    away = points - center
    return points[np.einsum("ni,ij,nj->n", away, metric, away) <= reach**2]


def direct_potential_V(cell, dielectric, where_A, width=1.0):
    """Potential of a unit charge at the origin, its images and background (Kumagai and Oba 2014, eq. 15), V.

    At the origin itself it is that of the images and the background alone.

    Args:
        cell, dielectric: lattice vectors in rows and the tensor.
        where_A: one place.
        width: factor on the Gaussian's width.
    """
    volume, root = abs(np.linalg.det(cell)), np.sqrt(np.linalg.det(dielectric))
    gamma = np.sqrt(np.pi) * (root / volume) ** (1 / 3) / width
    inverse = np.linalg.inv(dielectric)
    r = where_A - _points(cell, inverse, 7 / gamma, where_A)
    rr = np.sqrt(np.einsum("ni,ij,nj->n", r, inverse, r))
    at_charge = rr < 1e-9
    g = _points(2 * np.pi * np.linalg.inv(cell).T, dielectric, 14 * gamma, np.zeros(3))
    g = g[np.abs(g).max(axis=1) > 1e-9]
    gg = np.einsum("ni,ij,nj->n", g, dielectric, g)
    potential = (
        np.sum(erfc(gamma * rr[~at_charge]) / rr[~at_charge]) / root
        + 4 * np.pi / volume * np.sum(np.exp(-gg / (4 * gamma**2)) / gg * np.cos(g @ where_A))
        - np.pi / (volume * gamma**2)
    )
    if at_charge.any():
        potential -= 2 * gamma / np.sqrt(np.pi) / root
    return E2_EV_A * potential


def direct_energy_eV(cell, dielectric, width=1.0):
    """Minus the lattice energy of a unit charge per cell (eq. 14), eV."""
    return -direct_potential_V(cell, dielectric, np.zeros(3), width) / 2


def nearest_A(offsets_A, cell):
    """Distance of each place to the nearest image of the charge, A, by trying more images than can matter."""
    shifts = np.array(list(product(range(-4, 5), repeat=3))) @ cell
    return np.linalg.norm(np.asarray(offsets_A)[:, None] + shifts[None], axis=2).min(axis=1)
