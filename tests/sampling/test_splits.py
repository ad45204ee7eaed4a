"""Splits: by family, stable, never empty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectscape.domain.errors import DefectError
from defectscape.domain.family import Split
from defectscape.sampling.splits import assign_splits


def families(defect, count):
    return [f"{defect}/unperturbed", *(f"{defect}/bond{index:+d}%" for index in range(1, count))]


@pytest.mark.parametrize("count", [3, 4, 7, 12, 40])
def test_every_split_has_a_family_and_a_third_trains(sampling, count):
    splits = assign_splits(families("v_Cd", count), sampling, 1)
    held = list(splits.values())
    assert len(splits) == count
    assert held.count(Split.TEST) >= 1
    assert held.count(Split.VALID) >= 1
    assert held.count(Split.TRAIN) >= count / 3
    assert splits["v_Cd/unperturbed"] is Split.TRAIN


def test_fractions_round_up(sampling):
    held = list(assign_splits(families("v_Cd", 11), sampling, 1).values())
    assert (held.count(Split.TEST), held.count(Split.VALID)) == (3, 3)


@given(st.integers(0, 2**31), st.permutations(families("v_Cd", 9)))
def test_order_and_other_defects_change_nothing(sampling, seed, shuffled):
    alone = assign_splits(families("v_Cd", 9), sampling, seed)
    assert assign_splits(shuffled, sampling, seed) == alone
    both = assign_splits([*families("v_Te", 6), *shuffled, "host"], sampling, seed)
    assert {family: both[family] for family in alone} == alone
    assert both["host"] is Split.TRAIN


def test_the_seed_decides_who_is_held_out(sampling):
    chosen = {
        tuple(sorted(f for f, s in assign_splits(families("v", 9), sampling, seed).items() if s is Split.TEST))
        for seed in range(20)
    }
    assert len(chosen) > 5


def test_too_few_families_are_refused(sampling):
    with pytest.raises(DefectError, match="bond_distortions"):
        assign_splits(families("v_Cd", 2), sampling, 1)
