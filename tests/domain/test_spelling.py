"""Other programs' names of defects."""

import pytest

from defectscape.domain.spelling import is_ours, names_meant, our_name, turned

KNOWN = {"v_Cd": "v_Cd", "Te_Cd": "Te_Cd", "i_Cd_1": "Cd_i_Td_Te2.83", "i_Cd_2": "Cd_i_C3v", "v_Sb_1": "v_Sb_Cs_Se2.6"}


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        *[(name, "v_Cd") for name in ("V_Cd", "Va_Cd1", "Vac_Cd", "vac_1_Cd", "v_cd", "v_Cd_Td_Te2.83", "vacancy_Cd")],
        *[(name, "i_Cd") for name in ("Cd_i", "int_Cd", "Cd_i_Td_Te2.83", "inter_1_Cd", "Cd_int")],
        *[(name, "Te_Cd") for name in ("te_cd", "Te_Cd1", "as_1_Te_on_Cd", "sub_1_Te_on_Cd", "Te_Cd_Td_Te2.83")],
        *[(name, None) for name in ("", "_", "Cd", "vacancy", "i", "hello world")],
    ],
)
def test_a_name_in_ours(name: str, ours: str | None) -> None:
    assert our_name(name) == ours


def test_the_hosts_names_that_were_meant() -> None:
    assert names_meant("Cd_i_C3v", KNOWN) == ("i_Cd_2",)
    assert names_meant("Cd_i", KNOWN) == ("i_Cd_1", "i_Cd_2")
    assert names_meant("v_Sb", KNOWN) == ("v_Sb_1",)
    assert names_meant("V_Zn", KNOWN) == ()
    assert names_meant("v_Sb_Cs", KNOWN) == ("v_Sb_1",)


def test_our_form_and_interstitials_written_the_other_way() -> None:
    assert all(is_ours(name) for name in ("v_Cd", "Cl_Te", "i_Cu", "i_Cu_12", "V_Cd", "v_Sb_1"))
    assert not any(is_ours(name) for name in ("Cd_i", "Cd_i_C3v", "v_Cd_Td_Te2.83", "Vac_Cd", "v_Sb_0", "host"))
    assert [turned(name) for name in ("Cd_i", "Cd_i_2", "Cd_i_C3v", "v_Cd")] == ["i_Cd", "i_Cd_2", "Cd_i_C3v", "v_Cd"]
