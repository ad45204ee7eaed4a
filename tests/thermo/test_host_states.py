"""A filled level in the conduction band, or an empty one in the valence band, is suspected."""

import numpy as np
import pytest

from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.thermo.host_states import host_state_suspicion

VBM_EV, CBM_EV = 5.0, 6.5


def suspicion(filled_eV: float | None, empty_eV: float | None, charge: int = -1) -> str | None:
    label = Label(-1.0, np.zeros((1, 3)), None, filled_eV, empty_eV)
    return host_state_suspicion(DefectKey("v_Sb", charge), label, VBM_EV, CBM_EV)


def test_levels_in_the_gap_are_the_defects() -> None:
    assert suspicion(5.6, 5.9) is None


@pytest.mark.parametrize("filled_eV", [6.45, 6.5, 7.0])
def test_an_electron_at_the_conduction_band_is_suspected(filled_eV: float) -> None:
    text = suspicion(filled_eV, 7.1)
    assert text is not None
    assert text.startswith("v_Sb_-1")
    assert "conduction" in text


@pytest.mark.parametrize("empty_eV", [4.8, 5.0, 5.05])
def test_a_hole_at_the_valence_band_is_suspected(empty_eV: float) -> None:
    text = suspicion(4.7, empty_eV, 1)
    assert text is not None
    assert "v_Sb_+1" in text
    assert "valence" in text


def test_an_engine_without_eigenvalues_is_not_judged() -> None:
    assert suspicion(None, None) is None
