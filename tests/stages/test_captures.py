"""Captures that a study asks for, from its diagrams and levels."""

import numpy as np
import pytest

from defectscape.settings.ccd import Capture
from defectscape.summary.capture import capture_rows
from defectscape.summary.schema import CcdSummary, LevelSummary
from defectscape.thermo.ccd import PHONON_EV

DQ, PHONON, GAP_EV, LEVEL_EV = 3.0, 0.03, 1.5, 0.6


def _diagram() -> CcdSummary:
    """Charges 0 and -1, drawn from 0."""
    Q = np.linspace(-9.0, 12.0, 61)
    curvature = (PHONON / PHONON_EV) ** 2
    return CcdSummary(
        defect="v_Cd",
        initial_charge=0,
        final_charge=-1,
        dQ_amu05_A=DQ,
        Q_amu05_A=Q.tolist(),
        initial_eV=(0.5 * curvature * Q**2).tolist(),
        final_eV=(0.5 * curvature * (Q - DQ) ** 2).tolist(),
        initial_std_eV=[0.0] * 61,
        final_std_eV=[0.0] * 61,
        level_eV=LEVEL_EV,
        relaxation_initial_eV=1.0,
        relaxation_final_eV=1.0,
        phonon_initial_eV=PHONON,
        phonon_final_eV=PHONON,
        huang_rhys_initial=1.0,
        huang_rhys_final=1.0,
        harmonic_initial=True,
        harmonic_final=True,
        source="test",
    )


def _level(bar_eV: float) -> LevelSummary:
    return LevelSummary(
        defect="v_Cd",
        upper_charge=0,
        lower_charge=-1,
        level_eV=LEVEL_EV,
        uncertainty_eV=bar_eV,
        stable=True,
        in_gap=True,
    )


def _capture(initial: str, final: str, **more: object) -> Capture:
    return Capture(
        defect="v_Cd",
        initial=initial,
        final=final,
        coupling_eV_amu05_A=0.05,
        coupling_at="initial",
        volume_A3=1000.0,
        degeneracy=1,
        temperatures_K=[300.0],
        **more,
    )


def test_electrons_come_from_the_upper_edge_and_holes_from_the_lower() -> None:
    asked = [_capture("0", "-1"), _capture("-1", "0")]
    electron, hole = capture_rows(asked, [_diagram()], [_level(0.05)], GAP_EV)
    assert (electron.carrier, hole.carrier) == ("electron", "hole")
    assert electron.released_eV == pytest.approx(GAP_EV - LEVEL_EV)
    assert hole.released_eV == pytest.approx(LEVEL_EV)
    # The curves are equal, so what differs is the energy released alone.
    same = capture_rows([_capture("0", "-1")], [_diagram()], [], LEVEL_EV * 2)[0]
    at, other = hole.temperatures[0], same.temperatures[0]
    assert at.coefficient_cm3_s == pytest.approx(other.coefficient_cm3_s, rel=1e-6)


def test_the_levels_bar_is_the_coefficients_range() -> None:
    wide, narrow = (
        capture_rows([_capture("-1", "0")], [_diagram()], [_level(bar)], GAP_EV)[0].temperatures[0]
        for bar in (0.1, 0.01)
    )
    assert wide.low_cm3_s is not None
    assert wide.high_cm3_s is not None
    assert narrow.low_cm3_s is not None
    assert narrow.high_cm3_s is not None
    assert wide.low_cm3_s < narrow.low_cm3_s < narrow.coefficient_cm3_s
    assert narrow.coefficient_cm3_s < narrow.high_cm3_s < wide.high_cm3_s


def test_a_charged_defect_draws_the_opposite_carrier() -> None:
    near = {"coulomb": {"mass": 0.1, "dielectric_constant": 10.0}}
    plain, drawn = capture_rows([_capture("-1", "0"), _capture("-1", "0", **near)], [_diagram()], [], GAP_EV)
    factor = drawn.temperatures[0].coulomb_factor
    assert factor is not None
    assert factor > 1
    assert plain.temperatures[0].coulomb_factor is None
    assert drawn.temperatures[0].coefficient_cm3_s == pytest.approx(factor * plain.temperatures[0].coefficient_cm3_s)
    neutral = capture_rows([_capture("0", "-1", **near)], [_diagram()], [], GAP_EV)[0]
    assert neutral.temperatures[0].coulomb_factor == 1.0


def test_what_cannot_be_computed_says_why() -> None:
    missing, inside = capture_rows([_capture("-1", "-2"), _capture("0", "-1")], [_diagram()], [], LEVEL_EV + 0.001)
    assert "diagram" in missing.reason
    assert not missing.temperatures
    assert "quantum" in inside.reason
    assert not inside.temperatures
