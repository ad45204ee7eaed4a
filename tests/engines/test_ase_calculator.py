"""Any ASE calculator: the charge reaches it, and nothing else than a calculator is ever called."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from pydantic import ValidationError

from defectscape.domain.errors import EngineError
from defectscape.engines.ase_calculator import AseEngine
from defectscape.engines.base import CalculationFailed
from defectscape.engines.labelling import label_frame
from defectscape.engines.tblite import TbliteEngine
from defectscape.settings.ase_calculator import AseSettings
from defectscape.store.labels import LabelStore
from support import sleepy


def settings(calculator: str, **changes: object) -> AseSettings:
    values: dict[str, object] = {
        "kind": "ase",
        "calculator": calculator,
        "method": "x",
        "charge": "info.q",
        "multiplicity": "none",
    }
    return AseSettings.model_validate(values | changes)


def tblite(**changes: object) -> AseSettings:
    arguments = {"method": "GFN1-xTB", "verbosity": 0}
    return settings(
        "tblite.ase.TBLite",
        arguments=arguments,
        charge="charge",
        multiplicity="multiplicity",
        **changes,
    )


@pytest.mark.parametrize("charge", [0, 1, -2])
def test_it_gives_the_embedded_engine_s_numbers(crystal, frame_of, tblite_settings, charge) -> None:
    frame = frame_of(crystal("CdTe", vacancy=True), charge)
    mine = AseEngine(tblite(stress=True)).compute(frame, 0)
    reference = TbliteEngine(tblite_settings()).compute(frame, 0)
    assert mine.energy_eV == pytest.approx(reference.energy_eV, abs=1e-9)
    np.testing.assert_allclose(mine.forces_eV_A, reference.forces_eV_A, atol=1e-9)
    np.testing.assert_allclose(mine.stress_eV_A3, reference.stress_eV_A3, atol=1e-9)


@pytest.mark.parametrize("charge", [0, 2, -1])
def test_the_charge_can_go_through_the_atoms(crystal, frame_of, charge) -> None:
    label = AseEngine(settings("support.sleepy.Habits")).compute(frame_of(crystal("CdTe"), charge), 0)
    assert label.energy_eV == -charge


@pytest.mark.parametrize("place", ["none", "magmoms"])
def test_a_calculator_that_is_told_no_charge_is_refused(place: str) -> None:
    with pytest.raises(ValidationError, match="wrong labels in silence"):
        settings("support.sleepy.Habits", charge=place)


@pytest.mark.parametrize("path", ["os.system", "pathlib.Path", "subprocess.Popen", "json.dumps"])
def test_what_is_no_calculator_is_never_called(path: str) -> None:
    with pytest.raises(EngineError, match="no ASE calculator"):
        AseEngine(settings(path, arguments={"args": "true"}))


def test_a_missing_class_and_a_wrong_argument_are_named(crystal, frame_of) -> None:
    with pytest.raises(EngineError, match=r"no_such_package\.Calc"):
        AseEngine(settings("no_such_package.Calc"))
    engine = AseEngine(settings("support.sleepy.Habits", arguments={"colour": "red"}))
    with pytest.raises(EngineError, match="colour"):
        engine.compute(frame_of(crystal("CdTe")), 0)


def test_its_ladder_is_tried_in_order(crystal, frame_of, tmp_path: Path) -> None:
    ladder = [{"level": 1}, {"level": 2}, {"level": 3}]
    engine = AseEngine(settings("support.sleepy.Habits", arguments={"failures": 2}, ladder=ladder))
    record = label_frame(frame_of(crystal("CdTe"), 1), engine, LabelStore(tmp_path), 30.0)
    assert record.label.energy_eV == -1.0
    assert record.rung == 2
    hard = AseEngine(settings("support.sleepy.Habits", arguments={"failures": 9}, ladder=ladder))
    failed = label_frame(frame_of(crystal("CdTe"), 1), hard, LabelStore(tmp_path), 30.0)
    assert [f"level {k}" in failed.failure for k in range(4)] == [True] * 4


def test_an_answer_for_another_structure_is_a_failure(crystal, frame_of) -> None:
    engine = AseEngine(settings("support.sleepy.Habits", arguments={"moves": True}))
    with pytest.raises(CalculationFailed, match="another structure"):
        engine.compute(frame_of(crystal("CdTe")), 0)


def spins(**arguments: object) -> AseEngine:
    return AseEngine(settings("support.sleepy.Spins", multiplicity="magmoms", charge="info.q", arguments=arguments))


@pytest.mark.parametrize("multiplicity", [1, 2, 3])
def test_the_spin_can_go_through_the_moments(crystal, frame_of, multiplicity: int) -> None:
    frame = frame_of(crystal("CdTe"), multiplicity=multiplicity)
    assert spins().compute(frame, 0).energy_eV == pytest.approx(multiplicity - 1)


def test_another_spin_than_was_asked_for_is_a_failure(crystal, frame_of) -> None:
    frame = frame_of(crystal("CdTe"), multiplicity=2)
    assert spins(drift=0.05).compute(frame, 0).energy_eV == pytest.approx(1)
    with pytest.raises(CalculationFailed, match=r"3\.00 unpaired electrons instead of 1"):
        spins(drift=2.0).compute(frame, 0)
    with pytest.raises(CalculationFailed, match=r"2\.00 unpaired electrons instead of 0"):
        spins(drift=2.0).compute(frame_of(crystal("CdTe")), 0)


def test_a_spin_that_is_never_told_is_refused(crystal, frame_of) -> None:
    silent = settings("support.sleepy.Habits", multiplicity="magmoms")
    with pytest.raises(EngineError, match="does not tell its total magnetic moment"):
        AseEngine(silent).compute(frame_of(crystal("CdTe")), 0)


def test_any_error_of_a_calculator_is_a_failure(crystal, frame_of) -> None:
    with pytest.raises(CalculationFailed, match="Unfinished: no luck"):
        spins(error="no luck").compute(frame_of(crystal("CdTe")), 0)


def test_gpaw_is_a_function(crystal, frame_of, monkeypatch) -> None:
    module = ModuleType("gpaw")
    module.GPAW = sleepy.spins
    monkeypatch.setitem(sys.modules, "gpaw", module)
    engine = AseEngine(settings("gpaw.GPAW", charge="charge", multiplicity="magmoms"))
    assert engine.compute(frame_of(crystal("CdTe"), multiplicity=3), 0).energy_eV == 2.0
    # No other function is called, wherever it comes from.
    with pytest.raises(EngineError, match="no ASE calculator"):
        AseEngine(settings("support.sleepy.spins"))


def test_a_study_must_say_how_an_unfinished_scf_is_seen() -> None:
    cp2k = {"folder": "directory", "failed_if": {"cp2k.out": "SCF run NOT converged"}}
    settings("ase.calculators.cp2k.CP2K", **cp2k)
    with pytest.raises(ValidationError, match="SCF that did not converge; give failed_if"):
        settings("ase.calculators.cp2k.CP2K", **cp2k | {"failed_if": {}})
    with pytest.raises(ValidationError, match="give folder, too"):
        settings("ase.calculators.cp2k.CP2K", **cp2k | {"folder": None})


def test_arguments_and_revision_are_part_of_a_label() -> None:
    key = AseEngine(tblite()).settings_json
    assert AseEngine(tblite(time_limit_s=5.0)).settings_json == key
    assert AseEngine(tblite(revision="2")).settings_json != key
    assert "tblite 0." in AseEngine(tblite()).version
