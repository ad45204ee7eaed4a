"""Band edges follow from the count of electrons."""

import numpy as np

from defectscape.engines.band_edges import band_edges_eV


def test_singlets_fill_pairs() -> None:
    assert band_edges_eV([[np.array([3.0, -1.0, 0.5])]], 4, 1) == (0.5, 3.0)


def test_a_doublet_has_its_electron_in_the_first_channel() -> None:
    up, down = np.array([-1.0, 0.5, 3.0]), np.array([-0.9, 0.8, 3.1])
    assert band_edges_eV([[up], [down]], 3, 2) == (0.5, 0.8)


def test_edges_are_extremes_over_the_mesh() -> None:
    points = [np.array([0.0, 2.0]), np.array([0.4, 1.1]), np.array([-0.2, 3.0])]
    assert band_edges_eV([points], 2, 1) == (0.4, 1.1)


def test_a_channel_that_is_full_or_empty_has_one_edge() -> None:
    assert band_edges_eV([[np.array([1.0])]], 2, 1) == (1.0, None)
    assert band_edges_eV([[np.array([1.0])], [np.array([2.0])]], 1, 2) == (1.0, 2.0)
    assert band_edges_eV([[np.array([1.0])]], 0, 1) == (None, 1.0)


def test_without_a_moment_an_odd_electron_is_shared() -> None:
    levels = [[np.array([-1.0, 0.0, 1.0])]]
    assert band_edges_eV(levels, 3, 0) == (-1.0, 0.0)
