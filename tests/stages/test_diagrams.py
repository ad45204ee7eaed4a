"""Configuration-coordinate diagrams: the engine's points of them, and the captures along them."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, ScfAttempt
from defectscape.settings.ccd import Capture, ChargePair
from defectscape.stages.ccd import chosen_pairs
from defectscape.stages.ccd_check import check_diagrams
from defectscape.study.context import StudyContext
from defectscape.study.diagrams import Diagram, read_diagram_checks, read_diagrams, write_diagrams
from defectscape.study.levels import GroundState
from defectscape.summary.ccd import capture_rows
from defectscape.summary.cost import _path_points
from defectscape.summary.schema import CcdSummary, LevelSummary
from defectscape.thermo.ccd import PHONON_EV, trace_ccd
from defectscape.thermo.path import check_order, configuration_path
from support.small_study import small_study, write_study

# The engine's points of a diagram: which, relative to what, and what a failed one costs.


SPRING = 0.3


class Oscillator:
    """A parabola along x of the second atom, stiffer by a quarter than the model's."""

    name, version, attempts = "oscillator", "1", (ScfAttempt("plain", "as it is"),)
    settings_json = "{}"

    def __init__(self, failing: tuple[float, ...] = ()) -> None:
        self.failing = failing
        self.calls = 0

    def settings_of(self, numbers: np.ndarray) -> str:
        return "{}"

    def compute(self, frame: Frame, attempt: int) -> Label:
        self.calls += 1
        x = float(frame.positions_A[1, 0] - frame.positions_A[0, 0])
        if any(abs(x - value) < 1e-6 for value in self.failing):
            raise CalculationFailed("no", hopeless=True)
        return Label(energy_eV(frame, 1.25 * SPRING) - 7.0, np.zeros((len(frame), 3)))


def energy_eV(frame: Frame, spring: float) -> float:
    x = float(frame.positions_A[1, 0] - frame.positions_A[0, 0])
    return 0.5 * spring * (x - (2.5 if frame.charge == 0 else 3.0)) ** 2


def ground(charge: int) -> Frame:
    x = 2.5 if charge == 0 else 3.0
    return Frame(
        [52, 52],
        [[0, 0, 0], [x, 0, 0]],
        np.diag([9.0, 10.0, 11.0]),
        DefectKey("v_Cd", charge),
        1,
        Origin.MINIMUM,
        "f",
    )


@pytest.fixture
def context(tmp_path: Path) -> StudyContext:
    study = small_study()
    study["label_store"] = str(tmp_path / "labels")
    study["ccd"] = {"points": 5, "extend": 0.0, "engine_points": 3}
    return StudyContext.load(write_study(study, tmp_path), tmp_path / "results")


def prepare(
    context: StudyContext, engine: Oscillator, monkeypatch: pytest.MonkeyPatch, final: Frame | None = None
) -> Diagram:
    path = configuration_path(ground(0), ground(-1), points=5, extend=0.0)
    ccd = trace_ccd(path, lambda frame: energy_eV(frame, SPRING), 0.4)
    diagram = Diagram("v_Cd_0", "v_Cd_-1", ccd, np.zeros(5), np.zeros(5), "", final)
    context.layout.ccd.parent.mkdir(parents=True)
    write_diagrams(context, [diagram])
    monkeypatch.setattr(StudyContext, "engine", lambda self, level: engine)
    return diagram


def test_both_curves_are_compared_above_their_own_ground_states(context, monkeypatch):
    engine = Oscillator()
    diagram = prepare(context, engine, monkeypatch)
    check_diagrams(context)
    check = read_diagram_checks(context)["v_Cd_0", "v_Cd_-1"]
    assert engine.calls == 6
    assert (check.initial.points, check.initial.zero) == ((0, 2, 4), 0)
    assert (check.final.points, check.final.zero) == ((0, 2, 4), 4)
    assert check.initial.engine_eV == pytest.approx([0, 1.25 * SPRING / 32, 1.25 * SPRING / 8])
    assert check.initial.model_eV == pytest.approx([0, SPRING / 32, SPRING / 8])
    assert check.final.engine_eV == pytest.approx([1.25 * SPRING / 8, 1.25 * SPRING / 32, 0])
    assert check.final.model_eV == pytest.approx([SPRING / 8, SPRING / 32, 0])
    assert len(check.final.beside_ground_state) == 2
    (row,) = _path_points(context)
    assert (row.labels, row.failed) == (6, 0)
    # Again: all from the store.
    check_diagrams(context)
    assert engine.calls == 6
    assert diagram.ccd is not None


def test_labels_at_the_ground_states_are_those_that_the_study_has(context, monkeypatch):
    engine = Oscillator()
    # The path moves the final ground state's centre of mass onto the initial one's.
    diagram = prepare(context, engine, monkeypatch, ground(-1))
    assert diagram.ccd is not None
    assert diagram.ccd.path.frames_final[4].frame_id != ground(-1).frame_id
    for frame in (ground(0), ground(-1)):
        # In both charges: what verification labelled, and what one state labelled since the other handed it over.
        for charge in (0, -1):
            context.label(replace(frame, key=DefectKey("v_Cd", charge)), "high")
    assert engine.calls == 4
    check_diagrams(context)
    assert engine.calls == 6, "the two points in the middle"
    check = read_diagram_checks(context)["v_Cd_0", "v_Cd_-1"]
    assert check.initial.engine_eV == pytest.approx([0, 1.25 * SPRING / 32, 1.25 * SPRING / 8])
    assert check.final.engine_eV == pytest.approx([1.25 * SPRING / 8, 1.25 * SPRING / 32, 0])


def test_diagrams_of_an_earlier_version_are_read(context, monkeypatch):
    prepare(context, Oscillator(), monkeypatch, ground(-1))
    content = json.loads(context.layout.ccd.read_text())
    del content["diagrams"][0]["final_ground"]
    context.layout.ccd.write_text(json.dumps(content))
    assert [item.final_ground for item in read_diagrams(context)] == [None]
    check_diagrams(context)
    assert len(read_diagram_checks(context)) == 1


def test_a_failed_point_is_counted_and_a_failed_zero_leaves_nothing(context, monkeypatch):
    prepare(context, Oscillator(failing=(2.75,)), monkeypatch)
    check_diagrams(context)
    check = read_diagram_checks(context)["v_Cd_0", "v_Cd_-1"]
    assert (check.initial.points, check.initial.failed) == ((0, 4), 1)


def test_without_its_ground_state_a_curve_is_not_compared(context, monkeypatch):
    prepare(context, Oscillator(failing=(2.5,)), monkeypatch)
    check_diagrams(context)
    check = read_diagram_checks(context)["v_Cd_0", "v_Cd_-1"]
    assert (check.initial.points, check.initial.failed) == ((), 3)
    assert check.final.points == (2, 4)


def test_nothing_is_labelled_unless_asked_for(context, monkeypatch):
    engine = Oscillator()
    prepare(context, engine, monkeypatch)
    silent = context.study.ccd.model_copy(update={"engine_points": 0})
    quiet = StudyContext(context.study.model_copy(update={"ccd": silent}), context.layout)
    check_diagrams(quiet)
    assert engine.calls == 0
    assert read_diagram_checks(quiet) == {}
    assert _path_points(quiet) == []


def test_points_come_from_the_ground_states_to_the_middle_to_the_rest():
    fractions = np.array([-0.4, -0.2, 0.0, 0.25, 0.5, 0.75, 1.0, 1.2, 1.4])
    order = check_order(fractions, 2, 6)
    assert order[:3] == [2, 6, 4]
    assert set(order[3:5]) == {0, 8}
    assert sorted(order) == list(range(9))


def state(charge: int) -> GroundState:
    return GroundState(DefectKey("v_Cd", charge), "v_Cd", 0, ground(charge), 0.0, 0.0, "", True, None)


def test_transitions_asked_for_keep_their_direction_and_missing_ones_are_left_out():
    states = [state(0), state(-1)]
    pairs = [
        ChargePair(defect="v_Cd", initial="-1", final="0"),
        ChargePair(defect="v_Cd", initial="-1", final="-2"),
    ]
    found = [(a.key.charge, b.key.charge) for a, b in chosen_pairs(states, pairs)]
    assert found == [(-1, 0)]
    assert [(a.key.charge, b.key.charge) for a, b in chosen_pairs(states, None)] == [(0, -1)]
    assert asdict(states[0].key) == {"defect": "v_Cd", "charge": 0}


# Captures that a study asks for, from its diagrams and levels.


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
