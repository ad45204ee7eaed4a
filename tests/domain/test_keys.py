"""Defect keys are written one way only, with the sign of the charge."""

import pytest

from defectscape.domain.errors import DefectError
from defectscape.domain.keys import DefectKey, format_charge, parse_charge


@pytest.mark.parametrize("text", ["v_Cd_-2", "v_Te_+1", "v_Sb_1_0", "Te_Cd_+2", "i_Te_2_-1"])
def test_keys_survive_a_round_trip(text: str) -> None:
    assert str(DefectKey.parse(text)) == text


def test_index_is_not_taken_for_a_charge() -> None:
    assert DefectKey.parse("v_Sb_1_-3") == DefectKey("v_Sb_1", -3)
    with pytest.raises(DefectError, match="signed charge"):
        DefectKey.parse("v_Sb_1")


@pytest.mark.parametrize("text", ["1", "++1", "+0", "-0", "", "+1.0", "01", "-02"])
def test_charges_without_a_proper_sign_are_refused(text: str) -> None:
    with pytest.raises(DefectError, match="sign"):
        parse_charge(text)


@pytest.mark.parametrize("charge", [-3, -1, 0, 1, 4])
def test_charges_survive_a_round_trip(charge: int) -> None:
    assert parse_charge(format_charge(charge)) == charge


@pytest.mark.parametrize("name", ["", "_v", "v__Cd", "v Cd", "../v_Cd", "v_Cd;rm"])
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(DefectError, match="defect name"):
        DefectKey(name, 0)
