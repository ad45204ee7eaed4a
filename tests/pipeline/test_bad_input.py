"""Bad input ends in one line that names the thing and the remedy, before any label is computed."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from defectscape.domain.errors import LabelError
from defectscape.domain.label import Label
from support import ROOT
from support.small_study import small_study, write_study


def check(folder: Path, study: dict[str, Any], **environment: str) -> tuple[int, str]:
    """Exit status and standard error of `defectscape check` on a study, as a user sees it."""
    write_study(study, folder)
    done = subprocess.run(
        [Path(sys.executable).parent / "defectscape", "check", "study.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    return done.returncode, done.stderr


def refused(folder: Path, study: dict[str, Any], *telling: str, **environment: str) -> None:
    status, message = check(folder, study, **environment)
    assert status == 1, message
    errors = [line for line in message.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in message
    for words in telling:
        assert words in errors[0]
    assert not (folder / "labels").exists(), "a label was computed"


def with_host(folder: Path, atoms: Atoms, name: str = "host.vasp") -> dict[str, Any]:
    study = small_study()
    write(folder / name, atoms, format="vasp", sort=True)
    study["host"]["file"] = name
    return study


def cdte() -> Atoms:
    return bulk("CdTe", "zincblende", a=6.457, cubic=True)


def test_a_good_study_passes_and_says_what_would_run(tmp_path: Path) -> None:
    write_study(small_study(), tmp_path)
    done = subprocess.run(
        [Path(sys.executable).parent / "defectscape", "check", "study.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    for words in ("v_Cd_-1", "CdTe", "Te_Cd", "gfn1 (GFN1-xTB)", "at most"):
        assert words in done.stdout
    assert not (tmp_path / "labels").exists()


def test_a_typo_in_a_key(tmp_path: Path) -> None:
    study = small_study()
    study["searhc"] = study.pop("search")
    refused(tmp_path, study, "searhc", "Did you mean 'search'?")


def test_an_unknown_defect(tmp_path: Path) -> None:
    study = small_study()
    study["defects"] = [{"name": "v_Zn", "charges": ["0"]}]
    refused(tmp_path, study, "v_Zn", "v_Cd")


@pytest.mark.parametrize(("charge", "telling"), [(2, "'+2'"), ("+9", "less than or equal to 8")])
def test_a_charge_without_sign_or_out_of_range(tmp_path: Path, charge: object, telling: str) -> None:
    study = small_study()
    study["defects"][0]["charges"] = [charge]
    refused(tmp_path, study, "defects.0.charges.0", telling)


def test_clashing_fidelity_names(tmp_path: Path) -> None:
    study = small_study()
    study["fidelities"]["high"]["name"] = "gfn1"
    refused(tmp_path, study, "clash", "rename")


def test_partial_occupancies(tmp_path: Path) -> None:
    from pymatgen.core import Lattice, Structure

    structure = Structure.from_spacegroup(
        "F-43m", Lattice.cubic(6.457), [{"Cd": 0.5, "Zn": 0.5}, "Te"], [[0, 0, 0], [0.25] * 3]
    )
    structure.to(str(tmp_path / "host.cif"))
    study = small_study()
    study["host"]["file"] = "host.cif"
    refused(tmp_path, study, "host.cif", "occupan")


def test_overlapping_atoms(tmp_path: Path) -> None:
    atoms = cdte()
    atoms.positions[1] = atoms.positions[0] + 0.3
    refused(tmp_path, with_host(tmp_path, atoms), "host.vasp")


def test_a_defective_cell_as_host(tmp_path: Path) -> None:
    atoms = cdte() * (2, 2, 2)
    del atoms[0]
    refused(tmp_path, with_host(tmp_path, atoms), "host.vasp", "perfect")


def test_a_missing_and_an_unreadable_file(tmp_path: Path) -> None:
    study = small_study()
    study["host"]["file"] = "absent.vasp"
    refused(tmp_path, study, "absent.vasp")
    (tmp_path / "broken.vasp").write_text("not a structure\n")
    study["host"]["file"] = "broken.vasp"
    refused(tmp_path, study, "broken.vasp")


def test_a_supercell_below_the_smallest_image_distance(tmp_path: Path) -> None:
    study = small_study()
    study["host"]["supercell"]["min_image_distance_A"] = 10.0
    refused(tmp_path, study, "6.46", "10")


def test_an_engine_that_is_not_installed(tmp_path: Path) -> None:
    """The same command where Python finds no tblite."""
    hook = tmp_path / "hidden" / "sitecustomize.py"
    hook.parent.mkdir()
    hook.write_text(
        "import importlib.metadata as m, sys\n"
        "find = m.Distribution.from_name.__func__\n"
        "def without(cls, name):\n"
        "    if name.startswith('tblite'):\n"
        "        raise m.PackageNotFoundError(name)\n"
        "    return find(cls, name)\n"
        "m.Distribution.from_name = classmethod(without)\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'tblite':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    refused(tmp_path, small_study(), "tblite", "pip install", PYTHONPATH=str(hook.parent))


@pytest.mark.parametrize("damage", ["truncated", "empty", "edited"])
def test_a_damaged_store_record(tmp_path: Path, damage: str) -> None:
    from defectscape.stages.host import prepare_host
    from defectscape.stages.references import label_host
    from defectscape.study.context import StudyContext

    study = small_study()
    study["label_store"] = str(tmp_path / "store")
    context = StudyContext.load(write_study(study, tmp_path), tmp_path / "results")
    prepare_host(context)
    label_host(context)
    record = sorted((tmp_path / "store").glob("records/*/*.json"))[0]
    text = record.read_text()
    changed = {
        "truncated": text[: len(text) // 2],
        "empty": "",
        "edited": re.sub(r'("energy_eV": ?-?)', r"\g<1>9", text, count=1),
    }
    record.write_text(changed[damage])
    study["host"]["file"] = str(ROOT / "config/hosts/CdTe.vasp")
    refused(tmp_path, study, record.name, "--remove-damaged")


def test_nan_never_becomes_a_label() -> None:
    with pytest.raises(LabelError, match="NaN") as caught:
        Label(-1.0, np.array([[0.0, np.nan, 0.0]]))
    assert "\n" not in str(caught.value)


def test_the_store_of_a_study_is_listed_or_missed_aloud(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "defectscape"
    study = small_study()
    study["label_store"] = "elsewhere/kept"
    write_study(study, tmp_path)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, "--study", "study.yaml", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    missing = run("labels")
    assert missing.returncode == 1
    assert "elsewhere/kept" in missing.stderr
    assert run("check", "--measure").returncode == 0
    listed = run("labels")
    assert listed.returncode == 0
    assert "host_0" in listed.stdout
    assert "2 engine calls" in listed.stdout
