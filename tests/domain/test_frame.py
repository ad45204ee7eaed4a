"""Frames: the geometry hash sees what matters, and nothing else; the spin rule; seeds."""

import numpy as np
import pytest

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.domain.seeds import derive_seed


def frame(shift_A: float = 0.0, charge: int = 0, defect: str = "v_Cd") -> Frame:
    numbers = np.array([48, 52, 52])
    positions = np.array([[0.0, 0, 0], [1.6, 1.6, 1.6], [3.2, 3.2, 1.6 + shift_A]])
    return Frame(
        numbers,
        positions,
        np.eye(3) * 6.6,
        DefectKey(defect, charge),
        lowest_multiplicity(numbers, charge),
        Origin.START,
        f"{defect}/unperturbed",
    )


def test_hash_sees_positions_beyond_the_rounding_only() -> None:
    assert frame(1e-7).geometry_hash == frame().geometry_hash
    assert frame(1e-4).geometry_hash != frame().geometry_hash


def test_hash_sees_the_charge_but_not_the_name_of_the_defect() -> None:
    assert frame(charge=2).geometry_hash != frame().geometry_hash
    assert frame(defect="other").geometry_hash == frame().geometry_hash


def test_odd_electron_counts_are_doublets() -> None:
    numbers = np.array([48, 52])
    assert [lowest_multiplicity(numbers, charge) for charge in (-1, 0, 1)] == [2, 1, 2]


def test_recharging_keeps_geometry_and_family_and_applies_the_spin_rule() -> None:
    other = frame().recharged(-1, origin=Origin.START, note="cross-seed")
    assert (other.charge, other.multiplicity, other.family) == (-1, 2, frame().family)
    assert other.parent == frame().frame_id
    np.testing.assert_array_equal(other.positions_A, frame().positions_A)


def test_frames_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        frame().positions_A[0, 0] = 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_never_enter(value: float) -> None:
    with pytest.raises(LabelError, match="NaN or infinity"):
        frame(shift_A=value)
    with pytest.raises(LabelError, match="energy"):
        Label(value, np.zeros((2, 3)))
    with pytest.raises(LabelError, match="forces"):
        Label(0.0, np.full((2, 3), value))


def test_seeds_depend_on_every_part_and_their_borders() -> None:
    seeds = {derive_seed(*parts) for parts in [(1, "a", "b"), (1, "ab"), (2, "a", "b"), (1, "b", "a")]}
    assert len(seeds) == 4
    assert derive_seed(2026, "train", "v_Cd", 0) == derive_seed(2026, "train", "v_Cd", 0)
