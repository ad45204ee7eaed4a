"""Folds: no family on two sides, fewer labels within more, every charge in turn."""

from collections import Counter

import numpy as np
import pytest

from benchmarks.learning.folds import draw, make_fold, part
from defectscape.domain.errors import ConfigError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame

FAMILIES = [f"v_X/{name}" for name in "abcdefg"] + ["v_X/unperturbed"]


def labelled(family: str, charge: int, seed: int) -> LabelledFrame:
    rng = np.random.default_rng([seed, charge % 7, FAMILIES.index(family)])
    frame = Frame(
        np.array([48, 52]),
        rng.uniform(0, 5, (2, 3)),
        6.0 * np.eye(3),
        DefectKey("v_X", charge),
        1 + charge % 2,
        Origin.RATTLE,
        family,
    )
    return LabelledFrame(frame, Label(-1.0, np.zeros((2, 3))), "high")


POOL = [labelled(family, q, seed) for family in FAMILIES for q in (-1, 0, 1) for seed in range(4)]


@pytest.mark.parametrize("repeat", range(6))
def test_families_are_never_divided(repeat: int) -> None:
    fold = make_fold(FAMILIES, 2, 1, 5, repeat)
    assert (len(fold.test), len(fold.valid)) == (2, 1)
    assert not fold.test & fold.valid
    assert not fold.train & (fold.test | fold.valid)
    assert fold.train | fold.valid | fold.test == set(FAMILIES)
    assert "v_X/unperturbed" in fold.train
    sides = [part(POOL, side) for side in (fold.train, fold.valid, fold.test)]
    assert sum(map(len, sides)) == len(POOL)


def test_repetitions_hold_out_every_family_alike() -> None:
    counts = Counter(f for repeat in range(7) for f in make_fold(FAMILIES, 2, 1, 5, repeat).test)
    assert set(counts.values()) == {2}
    assert len(counts) == 7
    assert make_fold(FAMILIES, 2, 1, 5, 0) == make_fold(FAMILIES[::-1], 2, 1, 5, 0)
    assert make_fold(FAMILIES, 2, 1, 5, 0) != make_fold(FAMILIES, 2, 1, 6, 0)


def test_fewer_labels_are_among_more() -> None:
    few, many = draw(POOL, 10, 3, 0), draw(POOL, 40, 3, 0)
    assert [item.frame.frame_id for item in many[:10]] == [item.frame.frame_id for item in few]
    assert set(Counter(item.frame.charge for item in few).values()) <= {3, 4}
    assert len({item.frame.frame_id for item in many}) == 40
    other = draw(POOL, 10, 3, 1)
    assert {i.frame.frame_id for i in other} != {i.frame.frame_id for i in few}
    assert draw(POOL[::-1], 10, 3, 0) == few


@pytest.mark.parametrize("count", [5, len(POOL) + 1])
def test_too_many_or_too_few_labels(count: int) -> None:
    with pytest.raises(ConfigError, match="Between 6 and 96"):
        draw(POOL, count, 3, 0)


def test_too_many_held_out_families() -> None:
    with pytest.raises(ConfigError, match="hold out fewer"):
        make_fold(FAMILIES, 5, 2, 3, 0)
