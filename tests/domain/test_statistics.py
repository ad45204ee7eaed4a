"""Means of errors: the root mean square, and what is left when each group has lost its mean."""

import math

import numpy as np
import pytest

from defectscape.domain.statistics import less_group_means, rms


def test_root_mean_square_of_all_entries() -> None:
    assert rms([[3.0, -4.0], [0.0, 5.0]]) == pytest.approx(math.sqrt(50 / 4))
    assert rms(np.float32([2.0])) == 2.0
    assert math.isnan(rms([]))


def test_each_group_loses_its_own_mean() -> None:
    values = np.array([1.0, 10.0, 3.0, 14.0, 7.0])
    expected = [-1.0, -2.0, 1.0, 2.0, 0.0]
    names = np.array(["a", "b", "a", "b", "c"])
    assert less_group_means(values, names).tolist() == expected
    # Rows are one group if they agree in every column.
    rows = np.array([[0, 1], [1, 1], [0, 1], [1, 1], [0, 2]])
    assert less_group_means(values, rows).tolist() == expected
