"""Means that several packages take of errors."""

import numpy as np
from numpy.typing import ArrayLike


def rms(values: ArrayLike) -> float:
    """Root mean square over all values, in their unit; NaN of none."""
    squares = np.square(np.asarray(values, dtype=np.float64))
    return float(np.sqrt(squares.mean())) if squares.size else float("nan")


def less_group_means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Values (m,) less the mean of their group; groups are equal entries, or rows, of ``groups`` (m, ...)."""
    _, group = np.unique(groups, axis=0, return_inverse=True)
    group = group.ravel()
    return values - (np.bincount(group, weights=values) / np.bincount(group))[group]
