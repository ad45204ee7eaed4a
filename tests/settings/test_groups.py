"""A charge state added later learns from the others; they never depend on it."""

from copy import deepcopy

from defectscape.settings.default_study import DEFAULT_STUDY
from defectscape.settings.groups import exploration_groups
from defectscape.settings.study import Study


def groups_of(
    defects: list[dict[str, object]],
) -> dict[str, tuple[tuple[int, ...], tuple[str, ...]]]:
    study = Study.model_validate({**deepcopy(DEFAULT_STUDY), "defects": defects})
    return {group.name: (group.charges, group.learns_from) for group in exploration_groups(study)}


def test_each_defect_is_explored_on_its_own() -> None:
    one = groups_of([{"name": "v_Cd", "charges": ["0", "-1"]}])
    two = groups_of([{"name": "v_Cd", "charges": ["0", "-1"]}, {"name": "Te_Cd", "charges": ["0"]}])
    assert two["v_Cd"] == one["v_Cd"] == ((0, -1), ())
    assert two["Te_Cd"] == ((0,), ())


def test_added_charges_learn_in_order_and_change_nothing_before_them() -> None:
    groups = groups_of([{"name": "v_Cd", "charges": ["0"], "added_charges": ["-1", "-2"]}])
    assert groups == {
        "v_Cd": ((0,), ()),
        "v_Cd.-1": ((-1,), ("v_Cd",)),
        "v_Cd.-2": ((-2,), ("v_Cd", "v_Cd.-1")),
    }
