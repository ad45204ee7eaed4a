"""Farthest points: spread, deterministic, away from what is taken."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from defectscape.selection.farthest_points import farthest_points, standardised


def test_points_on_a_line_are_taken_from_the_ends_inward():
    line = np.arange(9.0)[:, None]
    assert farthest_points(line, [0], 3) == [8, 4, 2]
    assert farthest_points(line, [], 2) == [0, 8]
    assert farthest_points(line, [0, 8], 1) == [4]


def test_copies_of_taken_points_come_last():
    points = np.array([[0.0, 0], [0, 0], [5, 0], [0, 7]])
    assert farthest_points(points, [0], 3)[-1] == 1


def test_units_of_a_feature_do_not_matter():
    points = np.random.default_rng(0).normal(size=(30, 4))
    scaled = points * np.array([1e-3, 1.0, 1e3, 7.0]) + 5.0
    assert farthest_points(points, [3], 8) == farthest_points(scaled, [3], 8)


def test_constant_features_are_ignored():
    points = np.random.default_rng(0).normal(size=(12, 2))
    noise = 1.0 + 1e-15 * np.random.default_rng(1).normal(size=(12, 1))
    padded = np.concatenate([points, noise], axis=1)
    assert farthest_points(points, [0], 5) == farthest_points(padded, [0], 5)
    assert np.allclose(standardised(points).std(axis=0), 1.0)


@given(st.integers(0, 10**6), st.integers(1, 15), st.integers(0, 20))
def test_no_index_twice_and_never_a_taken_one(seed, size, count):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(size, 3))
    already = rng.choice(size, size=int(rng.integers(0, size)), replace=False).tolist()
    chosen = farthest_points(points, already, count)
    assert len(chosen) == len(set(chosen)) == min(count, size - len(already))
    assert not set(chosen) & set(already)
    assert chosen == farthest_points(points, already, count)


@given(st.integers(0, 10**6))
def test_each_choice_is_the_farthest_from_all_before(seed):
    points = np.random.default_rng(seed).normal(size=(12, 2))
    chosen = farthest_points(points, [5], 4)
    scaled = standardised(points)
    for step, index in enumerate(chosen):
        before = [5, *chosen[:step]]
        gaps = np.linalg.norm(scaled[:, None] - scaled[None, before], axis=2).min(axis=1)
        assert gaps[index] == gaps.max()
