"""The residual goes through what it was told, is smooth, and ends far away."""

import numpy as np
import pytest

from defectscape.search.residual import ENERGY_NOISE_EV, FORCE_NOISE_EV_A, Residual


def _error(positions_A):
    """A smooth error of a model, and its gradient."""
    x = positions_A.ravel()
    phase = x @ np.linspace(-0.5, 0.6, len(x))
    slope = np.linspace(-0.5, 0.6, len(x)) * np.cos(phase) * 0.3
    return 0.3 * np.sin(phase), slope.reshape(positions_A.shape)


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(2)
    return rng.normal(0.0, 0.1, size=(5, 4, 3))


@pytest.fixture(scope="module")
def residual(points):
    values, gradients = zip(*(_error(point) for point in points), strict=True)
    return Residual(points, np.array(values), np.array(gradients))


def test_it_goes_through_what_it_was_told(residual, points):
    for point in points:
        value, gradient = residual(point)
        known, slope = _error(point)
        assert value == pytest.approx(known, abs=3 * ENERGY_NOISE_EV)
        np.testing.assert_allclose(gradient, slope, atol=3 * FORCE_NOISE_EV_A)


def test_its_gradient_is_the_derivative_of_its_value(residual, points):
    where = points.mean(axis=0) + 0.05
    _, gradient = residual(where)
    step = 1e-5
    for atom, axis in ((0, 0), (2, 1), (3, 2)):
        moved = [where.copy(), where.copy()]
        moved[0][atom, axis] += step
        moved[1][atom, axis] -= step
        slope = (residual(moved[0])[0] - residual(moved[1])[0]) / (2 * step)
        assert slope == pytest.approx(gradient[atom, axis], abs=1e-6)


def test_between_the_points_it_is_better_than_nothing(residual, points):
    middle = points[:2].mean(axis=0)
    value, gradient = residual(middle)
    known, slope = _error(middle)
    assert abs(value - known) < 0.2 * abs(known)
    assert np.abs(gradient - slope).max() < 0.5 * np.abs(slope).max()


def test_far_away_it_says_nothing(residual, points):
    value, gradient = residual(points[0] + 5.0)
    assert abs(value) < 1e-12
    assert np.abs(gradient).max() < 1e-12
