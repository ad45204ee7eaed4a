"""ASE calculators as engines, here and in another Python, and relaxations with one through the store."""

import ast
import importlib.util
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ase.calculators.calculator import (
    CalculationFailed as AseCalculationFailed,
)
from ase.calculators.calculator import (
    CalculatorSetupError,
    PropertyNotImplementedError,
)
from ase.optimize import BFGS
from ase.stress import voigt_6_to_full_3x3_stress
from pydantic import ValidationError

from defectscape.domain.errors import EngineError, LabelError
from defectscape.domain.frame import Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.engines import ase_program
from defectscape.engines.ase_calculator import AseEngine
from defectscape.engines.base import CalculationFailed, ScfAttempt
from defectscape.engines.labelling import label_frame
from defectscape.engines.registry import make_engine
from defectscape.engines.stored_calculator import StoredCalculator
from defectscape.engines.tblite import TbliteEngine
from defectscape.settings.ase_calculator import AseSettings
from defectscape.store.labels import LabelStore, label_key
from support import ROOT, sleepy

# Any ASE calculator: the charge reaches it, and nothing else than a calculator is ever called.


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


# ASE calculators in another Python: the same labels and keys, and little that it must have.


LENNARD_JONES = {
    "calculator": "ase.calculators.lj.LennardJones",
    "arguments": {"sigma": 2.4, "epsilon": 0.3, "rc": 6.0, "smooth": True},
    "charge": "none",
    "charge_blind": True,
    "stress": True,
}


def external(**changes: object) -> AseSettings:
    values: dict[str, object] = {
        "kind": "ase",
        "calculator": "habits.Habits",
        "method": "x",
        "charge": "info.q",
        "multiplicity": "none",
    }
    return AseSettings.model_validate(values | changes)


def bare_python(folder: Path) -> Path:
    venv.create(folder, with_pip=False)
    return folder / "bin/python"


def install(python: Path, *packages: str) -> Path:
    """Put links to packages of this Python into another; its folder of packages."""
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    for package in packages:
        files = distribution(package).files or []
        for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
            (site / top).symlink_to(Path(str(distribution(package).locate_file(top))))
    return site


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own, with numpy, ASE (which needs scipy) and a package with a calculator."""
    program = bare_python(tmp_path_factory.mktemp("other") / "environment")
    site = install(program, "numpy", "ase", "scipy")
    shutil.copy(ROOT / "tests/support/sleepy.py", site / "habits.py")
    card = site / "habits-3.1.dist-info/METADATA"
    card.parent.mkdir()
    card.write_text("Metadata-Version: 2.1\nName: habits\nVersion: 3.1\n")
    (card.parent / "top_level.txt").write_text("habits\n")
    return program


def test_that_python_needs_no_more_than_numpy_and_ase(python: Path) -> None:
    for name in ("defectscape", "pydantic", "psutil", "torch", "pymatgen"):
        asked = f"import importlib.util as u, sys; sys.exit(u.find_spec({name!r}) is not None)"
        subprocess.run([python, "-I", "-c", asked], check=True)
        assert importlib.util.find_spec(name) is not None
    tree = ast.parse(Path(ase_program.__file__).read_text(), feature_version=(3, 9))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"numpy", "ase"}


def test_the_label_is_the_same_to_the_bit_and_so_is_its_key(crystal, frame_of, python: Path) -> None:
    frame = frame_of(crystal("CdTe", vacancy=True), -1)
    there, here = AseEngine(external(**LENNARD_JONES, python=python)), AseEngine(external(**LENNARD_JONES))
    mine, reference = there.compute(frame, 0), here.compute(frame, 0)
    assert mine.energy_eV == reference.energy_eV != 0.0
    np.testing.assert_array_equal(mine.forces_eV_A, reference.forces_eV_A)
    np.testing.assert_array_equal(mine.stress_eV_A3, reference.stress_eV_A3)
    assert np.max(np.abs(mine.forces_eV_A)) > 0.01
    keys = [label_key(frame, engine.name, engine.settings_of(frame.numbers)) for engine in (there, here)]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("charge", [0, 2, -1])
def test_the_charge_reaches_it_and_its_version_is_recorded(crystal, frame_of, tmp_path, python, charge) -> None:
    store = LabelStore(tmp_path)
    record = label_frame(frame_of(crystal("CdTe"), charge), make_engine(external(python=python)), store, 30.0)
    assert record.label is not None
    assert record.label.energy_eV == -charge
    assert record.engine_version == "habits 3.1"


def test_failures_and_faults_keep_their_meaning(crystal, frame_of, python: Path) -> None:
    frame = frame_of(crystal("CdTe"))
    with pytest.raises(CalculationFailed, match="another structure") as caught:
        make_engine(external(arguments={"moves": True}, python=python)).compute(frame, 0)
    assert caught.value.hopeless
    with pytest.raises(EngineError, match="colour"):
        make_engine(external(arguments={"colour": "red"}, python=python)).compute(frame, 0)
    ladder = [{"level": 1}, {"level": 2}]
    engine = make_engine(external(arguments={"failures": 2}, ladder=ladder, python=python))
    with pytest.raises(CalculationFailed, match="no luck at level 1"):
        engine.compute(frame, 1)
    assert engine.compute(frame, 2).energy_eV == 0.0


def test_it_may_take_no_longer_than_it_is_given(crystal, frame_of, python: Path) -> None:
    engine = make_engine(external(arguments={"sleep_s": 30}, time_limit_s=0.5, python=python))
    with pytest.raises(CalculationFailed, match=r"had not ended after 0\.5 s"):
        engine.compute(frame_of(crystal("CdTe")), 0)


def test_a_crash_costs_one_label(crystal, frame_of, tmp_path: Path, python: Path) -> None:
    store, frame = LabelStore(tmp_path), frame_of(crystal("CdTe"))
    changed = [{"segmentation_fault": False}]
    engine = make_engine(external(arguments={"segmentation_fault": True}, ladder=changed, python=python))
    record = label_frame(frame, engine, store, 30.0)
    assert record.rung == 1
    assert record.label is not None
    assert [call.status for call in store.calls()] == ["failed", "ok"]


def test_files_of_the_study_and_our_paths_are_not_its_modules(
    crystal, frame_of, tmp_path: Path, monkeypatch, python: Path
) -> None:
    for name in ("json", "numpy", "habits"):
        (tmp_path / f"{name}.py").write_text("open('mark', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert make_engine(external(python=python)).compute(frame_of(crystal("CdTe"), 1), 0).energy_eV == -1.0
    assert not (tmp_path / "mark").exists()


def test_what_is_wrong_with_a_python_is_said(tmp_path: Path, python: Path) -> None:
    def fault(path: Path, **changes: object) -> str:
        with pytest.raises(EngineError) as caught:
            assert AseEngine(external(python=path, **changes)).version
        return str(caught.value)

    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    assert "no such file" in fault(tmp_path / "missing")
    assert "not executable" in fault(plain)
    plain.chmod(0o755)
    assert "is no Python interpreter" in fault(plain)
    plain.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    assert "does not start (exit status 3: broken)" in fault(plain)
    plain.write_text("#!/bin/sh\necho '[[3, 8], []]'\n")
    assert "is Python 3.8. Make an environment of Python 3.9" in fault(plain)
    bare = bare_python(tmp_path / "bare")
    assert f"lacks numpy ase. Install it there: {bare} -m pip install numpy ase" in fault(bare)
    install(bare, "numpy")
    assert "lacks ase." in fault(bare)
    assert f"in {python}: No module named 'nowhere'" in fault(python, calculator="nowhere.Calculator")
    assert "no ASE calculator class" in fault(python, calculator="os.system")


def test_a_python_is_no_part_of_what_is_labelled(python: Path) -> None:
    engine = AseEngine(external(python=Path("nowhere/bin/python")))
    assert engine.settings_json == AseEngine(external(python=python)).settings_json


def test_charge_blindness_is_stated_or_refused() -> None:
    external(charge="none", charge_blind=True)
    with pytest.raises(ValidationError, match="state charge_blind: true"):
        external(charge="none")
    with pytest.raises(ValidationError, match="write charge: none"):
        external(charge_blind=True)


def test_a_calculator_that_does_not_look_at_the_charge_is_found_out(crystal, frame_of, tmp_path: Path) -> None:
    """Told in an entry of ``info`` that it never reads; nothing else would ever fail."""
    frame, store = frame_of(crystal("CdTe"), 1), LabelStore(tmp_path)
    deaf = external(**LENNARD_JONES | {"charge": "info.charge", "charge_blind": False})
    with pytest.raises(EngineError, match=r"gives charge \+1 and charge -1 the same energy.*charge_blind: true"):
        label_frame(frame, make_engine(deaf), store, 30.0)
    assert not list(store.records())
    stated = make_engine(external(**LENNARD_JONES))
    assert label_frame(frame, stated, store, 30.0).label is not None


# Relaxations through the store: the same path, the second time without an engine call.


KEY = DefectKey("v_Cd", -1)


@pytest.fixture
def store(tmp_path):
    return LabelStore(tmp_path)


def test_values_are_the_engine_s(store, crystal, frame_of, tblite_settings):
    engine = TbliteEngine(tblite_settings())
    atoms = crystal("CdTe", vacancy=True)
    atoms.calc = StoredCalculator(engine, store, KEY, "v_Cd/x", 30.0)
    label = engine.compute(frame_of(atoms, -1), 0)
    # Two calls with several threads may differ in the last bits.
    assert atoms.get_potential_energy() == pytest.approx(label.energy_eV, abs=1e-9)
    np.testing.assert_allclose(atoms.get_forces(), label.forces_eV_A, atol=1e-9)
    stress = voigt_6_to_full_3x3_stress(atoms.get_stress())
    np.testing.assert_allclose(stress, label.stress_eV_A3, atol=1e-12)
    (record,) = store.records()
    assert (record.frame.key, record.frame.origin, record.frame.multiplicity) == (
        KEY,
        Origin.RELAXATION,
        2,
    )
    assert len(store.calls()) == 1


def test_a_relaxation_replays_from_the_store(store, crystal, tblite_settings):
    paths = []
    for _ in range(2):
        atoms = crystal("CdTe")
        engine = TbliteEngine(tblite_settings())
        atoms.calc = StoredCalculator(engine, store, DefectKey("host", 0), "host", 30.0)
        path = []
        relaxation = BFGS(atoms, logfile=None)
        relaxation.attach(lambda a=atoms, p=path: p.append(a.positions.copy()))
        relaxation.run(fmax=0.05, steps=4)
        paths.append(np.array(path))
    assert len(paths[0]) == 5
    np.testing.assert_array_equal(paths[0], paths[1])
    assert len(store.calls()) == 5


def test_a_failed_label_says_why(store, crystal, tblite_settings):
    atoms = crystal("CdTe")
    atoms.calc = StoredCalculator(
        TbliteEngine(tblite_settings(max_iterations=1)), store, DefectKey("host", 0), "host", 30.0
    )
    with pytest.raises(AseCalculationFailed, match="SCF not converged in 1 cycles"):
        atoms.get_forces()
    assert [record.label for record in store.records()] == [None]


class StresslessEngine:
    name, version, settings_json, attempts = "plain", "0", "{}", (ScfAttempt("only", ""),)

    def settings_of(self, numbers):
        return self.settings_json

    def compute(self, frame, attempt):
        return Label(0.0, np.zeros((len(frame), 3)))


def test_a_missing_stress_is_not_a_zero_stress(store, crystal):
    atoms = crystal("CdTe")
    atoms.calc = StoredCalculator(StresslessEngine(), store, DefectKey("host", 0), "host", 30.0)
    assert atoms.get_potential_energy() == 0.0
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_a_cluster_is_refused(store, crystal):
    atoms = crystal("CdTe")
    atoms.pbc = [True, True, False]
    atoms.calc = StoredCalculator(StresslessEngine(), store, DefectKey("host", 0), "host", 30.0)
    with pytest.raises(LabelError, match="pbc"):
        atoms.get_potential_energy()


def test_no_structure_is_an_error_with_a_name(store):
    with pytest.raises(CalculatorSetupError, match="v_Cd_-1"):
        StoredCalculator(StresslessEngine(), store, KEY, "v_Cd/x", 30.0).calculate()
