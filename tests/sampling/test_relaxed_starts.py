"""Which starts are relaxed: in turn by split, the same families everywhere, never the perfect one."""

import numpy as np
import pytest

from defectscape.domain.family import Split
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.sampling.relaxed_starts import starts_to_relax

NAMES = ("unperturbed", "bond-40%", "bond-20%", "bond+20%", "bond+40%", "dimer", "rattle")
SPLITS = {f"v_Cd/{name}": Split.TRAIN for name in NAMES} | {
    "v_Cd/dimer": Split.TEST,
    "v_Cd/rattle": Split.VALID,
}


def starts(charge: int = 0, names: tuple[str, ...] = NAMES) -> list[Frame]:
    key = DefectKey("v_Cd", charge)
    return [
        Frame([48, 52], np.eye(2, 3) * (3 + k), np.eye(3) * 9, key, 1, Origin.START, f"v_Cd/{name}")
        for k, name in enumerate(names)
    ]


def chosen(frames: list[Frame], count: int) -> list[str]:
    return [frame.family for frame in starts_to_relax(frames, SPLITS, count, 7)]


def test_train_and_held_out_families_take_turns() -> None:
    splits = [SPLITS[family] for family in chosen(starts(), 4)]
    assert splits == [Split.TRAIN, Split.TEST, Split.TRAIN, Split.VALID]


@pytest.mark.parametrize("count", [0, 1, 3, 6, 20])
def test_as_many_as_asked_for_each_once_and_never_the_unperturbed(count: int) -> None:
    families = chosen(starts(), count)
    assert len(families) == min(count, len(NAMES) - 1)
    assert len(set(families)) == len(families)
    assert "v_Cd/unperturbed" not in families


def test_all_charge_states_relax_the_same_families() -> None:
    assert chosen(starts(-2), 3) == chosen(starts(1), 3)


def test_the_order_of_the_others_does_not_depend_on_one_of_them() -> None:
    fewer = [name for name in NAMES if name != chosen(starts(), 6)[-1].rpartition("/")[2]]
    assert chosen(starts(names=tuple(fewer)), 5) == chosen(starts(), 5)
