"""ASE calculators in another Python: the same labels and keys, and little that it must have."""

import ast
import importlib.util
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from defectscape.domain.errors import EngineError
from defectscape.engines import ase_program
from defectscape.engines.ase_calculator import AseEngine
from defectscape.engines.base import CalculationFailed
from defectscape.engines.labelling import label_frame
from defectscape.engines.registry import make_engine
from defectscape.settings.ase_calculator import AseSettings
from defectscape.store.labels import LabelStore, label_key
from support import ROOT

LENNARD_JONES = {
    "calculator": "ase.calculators.lj.LennardJones",
    "arguments": {"sigma": 2.4, "epsilon": 0.3, "rc": 6.0, "smooth": True},
    "charge": "none",
    "charge_blind": True,
    "stress": True,
}


def settings(**changes: object) -> AseSettings:
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
    there, here = AseEngine(settings(**LENNARD_JONES, python=python)), AseEngine(settings(**LENNARD_JONES))
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
    record = label_frame(frame_of(crystal("CdTe"), charge), make_engine(settings(python=python)), store, 30.0)
    assert record.label is not None
    assert record.label.energy_eV == -charge
    assert record.engine_version == "habits 3.1"


def test_failures_and_faults_keep_their_meaning(crystal, frame_of, python: Path) -> None:
    frame = frame_of(crystal("CdTe"))
    with pytest.raises(CalculationFailed, match="another structure") as caught:
        make_engine(settings(arguments={"moves": True}, python=python)).compute(frame, 0)
    assert caught.value.hopeless
    with pytest.raises(EngineError, match="colour"):
        make_engine(settings(arguments={"colour": "red"}, python=python)).compute(frame, 0)
    ladder = [{"level": 1}, {"level": 2}]
    engine = make_engine(settings(arguments={"failures": 2}, ladder=ladder, python=python))
    with pytest.raises(CalculationFailed, match="no luck at level 1"):
        engine.compute(frame, 1)
    assert engine.compute(frame, 2).energy_eV == 0.0


def test_it_may_take_no_longer_than_it_is_given(crystal, frame_of, python: Path) -> None:
    engine = make_engine(settings(arguments={"sleep_s": 30}, time_limit_s=0.5, python=python))
    with pytest.raises(CalculationFailed, match=r"had not ended after 0\.5 s"):
        engine.compute(frame_of(crystal("CdTe")), 0)


def test_a_crash_costs_one_label(crystal, frame_of, tmp_path: Path, python: Path) -> None:
    store, frame = LabelStore(tmp_path), frame_of(crystal("CdTe"))
    changed = [{"segmentation_fault": False}]
    engine = make_engine(settings(arguments={"segmentation_fault": True}, ladder=changed, python=python))
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
    assert make_engine(settings(python=python)).compute(frame_of(crystal("CdTe"), 1), 0).energy_eV == -1.0
    assert not (tmp_path / "mark").exists()


def test_what_is_wrong_with_a_python_is_said(tmp_path: Path, python: Path) -> None:
    def fault(path: Path, **changes: object) -> str:
        with pytest.raises(EngineError) as caught:
            assert AseEngine(settings(python=path, **changes)).version
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
    engine = AseEngine(settings(python=Path("nowhere/bin/python")))
    assert engine.settings_json == AseEngine(settings(python=python)).settings_json


def test_charge_blindness_is_stated_or_refused() -> None:
    settings(charge="none", charge_blind=True)
    with pytest.raises(ValidationError, match="state charge_blind: true"):
        settings(charge="none")
    with pytest.raises(ValidationError, match="write charge: none"):
        settings(charge_blind=True)


def test_a_calculator_that_does_not_look_at_the_charge_is_found_out(crystal, frame_of, tmp_path: Path) -> None:
    """Told in an entry of ``info`` that it never reads; nothing else would ever fail."""
    frame, store = frame_of(crystal("CdTe"), 1), LabelStore(tmp_path)
    deaf = settings(**LENNARD_JONES | {"charge": "info.charge", "charge_blind": False})
    with pytest.raises(EngineError, match=r"gives charge \+1 and charge -1 the same energy.*charge_blind: true"):
        label_frame(frame, make_engine(deaf), store, 30.0)
    assert not list(store.records())
    stated = make_engine(settings(**LENNARD_JONES))
    assert label_frame(frame, stated, store, 30.0).label is not None
