"""Farthest-point sampling: every new point is the one farthest from all points taken so far."""

from collections.abc import Sequence

import numpy as np

from defectscape.domain.frame import Floats

CONSTANT = 1e-9
"""A feature whose spread is below this fraction of the largest spread is constant."""

TAKEN = -1.0
"""In place of a distance: this point is taken."""


def standardised(features: Floats) -> Floats:
    """Features (n, d) with zero mean and unit variance; constant ones become zero."""
    values = np.asarray(features, dtype=np.float64)
    if not values.size:
        return values
    spread = values.std(axis=0)
    varying = spread > CONSTANT * max(float(spread.max()), np.finfo(np.float64).tiny)
    scale = np.where(varying, spread, 1.0)
    return np.asarray(np.where(varying, (values - values.mean(axis=0)) / scale, 0.0))


def farthest_points(features: Floats, already: Sequence[int], count: int) -> list[int]:
    """Indices of ``count`` points, each farthest from all taken before it.

    Deterministic: with nothing taken the first point is the lowest index, and ties go to the lowest
    index too. Fewer are returned where there are no more points.

    Args:
        features: shape (n, d); distances are measured after standardisation.
        already: indices that count as taken and are not returned.
        count: how many to choose.
    """
    points = standardised(features)
    nearest = np.full(len(points), np.inf)
    for index in already:
        nearest = np.minimum(nearest, _distances(points, index))
    # What is taken is nearer than anything, so it is never the farthest.
    nearest[list(already)] = TAKEN
    chosen: list[int] = []
    for _ in range(min(count, len(points) - len(set(already)))):
        best = int(np.argmax(nearest))
        chosen.append(best)
        nearest = np.minimum(nearest, _distances(points, best))
        nearest[best] = TAKEN
    return chosen


def _distances(points: Floats, index: int) -> Floats:
    return np.asarray(np.linalg.norm(points - points[index], axis=1))
