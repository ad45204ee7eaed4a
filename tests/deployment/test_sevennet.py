"""A foundation potential in the environment that `make setup-sevennet` makes, as docs/engines.md says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.io import read

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.engines.labelling import label_frame
from defectscape.engines.registry import make_engine
from defectscape.files.atoms import to_atoms
from defectscape.settings.ase_calculator import AseSettings
from defectscape.store.labels import LabelStore
from support import ROOT
from support.small_study import small_study, write_study

pytestmark = pytest.mark.deployment

DIRECTLY = """
import json, sys
from ase.io import read
from sevenn.calculator import SevenNetCalculator
atoms = read(sys.argv[1])
atoms.calc = SevenNetCalculator(model="7net-0", device="cpu")
print(json.dumps([float(atoms.get_potential_energy()), atoms.get_forces().tolist()]))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """The environment's interpreter; made again only if its lock file is newer."""
    subprocess.run(["make", "setup-sevennet", f"PYTHON={sys.executable}"], cwd=ROOT, check=True)
    return ROOT / ".venv-sevennet/bin/python"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A potential that asked a hub, or weights that it left in the home folder, would fail."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))


def engine_of_the_page(python: Path) -> dict[str, object]:
    """What docs/engines.md has people write, with this interpreter."""
    blocks = re.findall(r"```yaml\n(engine: .*?)```", (ROOT / "docs/engines.md").read_text(), flags=re.DOTALL)
    (engine,) = (values for block in blocks if "sevenn" in str(values := yaml.safe_load(block)["engine"]))
    assert engine["python"] == str(python.relative_to(ROOT))
    return {**engine, "python": str(python)}


@pytest.fixture
def frame() -> Frame:
    """A rattled cell of CdTe that lacks a Cd, charged."""
    atoms = read(ROOT / "config/hosts/CdTe.vasp")
    atoms.rattle(0.06, seed=4)
    del atoms[0]
    charge = -1
    spin = lowest_multiplicity(atoms.numbers, charge)
    return Frame(
        atoms.numbers, atoms.positions, atoms.cell[:], DefectKey("v_Cd", charge), spin, Origin.RATTLE, "v_Cd/x"
    )


def test_its_labels_are_the_calculator_s(python: Path, frame: Frame, tmp_path: Path) -> None:
    to_atoms(frame).write(tmp_path / "frame.json")
    command = [python, "-I", "-W", "ignore", "-c", DIRECTLY, tmp_path / "frame.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    energy_eV, forces_eV_A = json.loads(done.stdout.splitlines()[-1])

    engine = make_engine(AseSettings.model_validate(engine_of_the_page(python)))
    record = label_frame(frame, engine, LabelStore(tmp_path / "labels"), 30.0)
    assert record.label is not None, record.failure
    # In single precision, of the whole cell.
    assert record.label.energy_eV == pytest.approx(energy_eV, abs=1e-4)
    np.testing.assert_allclose(record.label.forces_eV_A, forces_eV_A, atol=1e-5)
    assert record.label.fmax_eV_A > 0.1
    assert record.engine_version == "sevenn 0.13.0"
    assert "python" not in json.loads(record.settings)


def test_it_is_found_to_know_no_charge(python: Path, frame: Frame, tmp_path: Path) -> None:
    told = {**engine_of_the_page(python), "charge": "info.charge", "charge_blind": False}
    with pytest.raises(EngineError, match="the same energy"):
        label_frame(frame, make_engine(AseSettings.model_validate(told)), LabelStore(tmp_path), 30.0)


def test_a_study_with_it_is_checked(python: Path, tmp_path: Path) -> None:
    study = small_study()
    study["fidelities"]["low"]["engine"] = engine_of_the_page(python)
    path = write_study(study, tmp_path)
    command = [sys.executable, "-m", "defectscape", "check", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "knows no charge (charge_blind)" in done.stdout
    study["fidelities"]["low"]["engine"]["python"] = "nowhere/bin/python"
    command[-1] = str(write_study(study, tmp_path))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nowhere/bin/python: there is no such file. Give the path of an interpreter" in done.stderr
