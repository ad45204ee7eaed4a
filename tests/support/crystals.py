"""Supercells and dielectric tensors of any shape, for property tests."""

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation


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
