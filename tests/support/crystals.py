"""Supercells and dielectric tensors of any shape, and the potential of a point charge in them, term by term."""

from itertools import product

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.special import erfc

# Supercells and dielectric tensors of any shape, for property tests.


def turns():
    """A rotation, (3, 3)."""
    angle = st.floats(-180.0, 180.0)
    return st.tuples(angle, angle, angle).map(
        lambda angles: Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    )


@st.composite
def tensors(draw):
    """Dielectric tensors: principal values of 1 to 1000, up to 20 times apart, along any axes."""
    spread = draw(st.floats(1.0, 20.0))
    least = 10 ** draw(st.floats(0.0, np.log10(1000 / spread)))
    middle = draw(st.floats(0.0, 1.0))
    turn = draw(turns())
    return turn @ np.diag(least * np.array([1.0, spread**middle, spread])) @ turn.T


@st.composite
def cells(draw):
    """Supercells of 8 to 25 A, skewed, turned, of either handedness."""
    lengths = [draw(st.floats(8.0, 25.0)) for _ in range(3)]
    shear = [draw(st.floats(-1.2, 1.2)) for _ in range(3)]
    cell = np.array([[1.0, 0.0, 0.0], [shear[0], 1.0, 0.0], [shear[1], shear[2], 1.0]]) @ np.diag(lengths)
    return (cell if draw(st.booleans()) else cell[::-1]) @ draw(turns()).T


@st.composite
def other_vectors(draw):
    """Integer matrices of determinant 1 or -1: they choose other vectors of the same lattice."""
    step = st.integers(-2, 2)
    lower = np.array([[1, 0, 0], [draw(step), 1, 0], [draw(step), draw(step), 1]])
    upper = np.array([[1, draw(step), draw(step)], [0, 1, draw(step)], [0, 0, 1]])
    return (lower @ upper)[list(draw(st.permutations(range(3))))]


# The potential of a periodic point charge, term by term in the crystal's own coordinates, for comparison.


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
