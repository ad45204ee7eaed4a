"""What would stop a study later is found by the check, named with the key and the remedy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from defectscape.domain.errors import DefectscapeError
from defectscape.settings.load import load_study
from defectscape.settings.paths import check_files
from defectscape.study.context import StudyContext
from defectscape.tools.check import make_plan
from support.small_study import small_study, write_study

ZNTE = "ZnTe\n1.0\n0 3.05 3.05\n3.05 0 3.05\n3.05 3.05 0\nZn Te\n1 1\nDirect\n0 0 0\n.25 .25 .25\n"


def refused(folder: Path, study: dict[str, Any]) -> str:
    path = write_study(study, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        context = StudyContext.load(path.relative_to(folder), Path("results"))
        with pytest.raises(DefectscapeError) as caught:
            make_plan(context)
    assert not (folder / "labels").exists()
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("thermo.elemental_references.Cd", "no.vasp"),
        ("thermo.competing_phases.CdTe2", "no.vasp"),
        ("imported", ["no.extxyz"]),
        ("training.foundation", "no.model"),
        ("exploration.training.foundation", "no.model"),
        ("thermo.concentrations.bands", {"kind": "vasprun", "file": "no/vasprun.xml"}),
        ("host.file", "no.vasp"),
    ],
)
def test_every_file_that_is_named_is_there(tmp_path: Path, key: str, value: object) -> None:
    study = small_study()
    *blocks, last = key.split(".")
    block: Any = study
    for name in blocks:
        block = block.setdefault(name, {})
    block[last] = value
    path = write_study(study, tmp_path)
    with pytest.raises(DefectscapeError, match=rf"{key}.*no.*There is no such file"):
        check_files(load_study(path))


def test_all_missing_files_are_named_together(tmp_path: Path) -> None:
    study = small_study() | {"imported": ["one.extxyz", "two.extxyz"]}
    with pytest.raises(DefectscapeError, match=r"one\.extxyz.*two\.extxyz of imported\.1"):
        check_files(load_study(write_study(study, tmp_path)))


def test_phases_and_references_are_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "ZnTe.vasp").write_text(ZNTE)
    study = small_study()
    study["thermo"]["competing_phases"] = {"other": "ZnTe.vasp"}
    assert "thermo.competing_phases.other: ZnTe.vasp has Zn" in refused(tmp_path, study)
    study = small_study()
    study["thermo"]["elemental_references"]["Cd"] = "ZnTe.vasp"
    assert "thermo.elemental_references.Cd: ZnTe.vasp holds Te, Zn" in refused(tmp_path, study)
    del study["thermo"]["elemental_references"]["Cd"]
    assert "nothing for Cd" in refused(tmp_path, study)


def test_a_mesh_is_for_an_engine_that_has_one(tmp_path: Path) -> None:
    study = small_study()
    study["thermo"]["elemental_kpoints"] = {"Cd": [3, 3, 3]}
    assert "thermo.elemental_kpoints.Cd: the tblite engine has no k-points" in refused(tmp_path, study)


def test_what_is_no_data_set_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "frames.extxyz").write_text("3\n\nCd 0 0 0\n")
    assert "frames.extxyz" in refused(tmp_path, small_study() | {"imported": ["frames.extxyz"]})


@pytest.mark.parametrize(
    ("limits", "telling"),
    [
        ({"poor": {"Cd": -0.5}}, "Give one value for each of Cd, Te"),
        ({"poor": {"Cd": 0.0, "Te": -1.0}, "rich": {"Cd": -1.4, "Te": 0.0}}, "correct one of them"),
        ({"poor": {"Cd": 0.0, "Te": 0.0}}, "formation energy, which is negative"),
    ],
)
def test_limits_have_the_hosts_elements_and_one_sum(tmp_path: Path, limits: object, telling: str) -> None:
    study = small_study()
    study["thermo"]["chemical_potentials"] = limits
    assert telling in refused(tmp_path, study)


def test_a_name_of_another_program_is_told(tmp_path: Path) -> None:
    for name, told in (("V_Cd", "Write v_Cd. "), ("Cd_i", "Write i_Cd_1 or i_Cd_2")):
        study = small_study()
        study["defects"][0]["name"] = name
        assert told in refused(tmp_path, study)


def test_too_few_starts_are_found_before_anything_is_computed(tmp_path: Path) -> None:
    study = small_study()
    study["sampling"]["shortest_distance_A"] = 2.9
    message = refused(tmp_path, study)
    assert "starts of v_Cd" in message
    assert "2.9 A" in message
    assert "lower sampling.shortest_distance_A" in message


def test_a_failed_label_of_the_host_says_the_engines_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from defectscape.engines.base import CalculationFailed
    from defectscape.engines.isolated import IsolatedEngine

    def fails(*_: object) -> None:
        raise CalculationFailed("the eigenvalue solver gave up", hopeless=True)

    monkeypatch.setattr(IsolatedEngine, "compute", fails)
    monkeypatch.chdir(tmp_path)  # its failure goes into the store of this test
    context = StudyContext.load(write_study(small_study(), tmp_path), tmp_path / "results")
    with pytest.raises(DefectscapeError, match=r"gfn1 label of the perfect supercell: .*eigenvalue solver gave up"):
        make_plan(context, measure=True)


def test_contacts_follow_the_elements() -> None:
    from ase.data import atomic_numbers

    from defectscape.sampling.contacts import too_close

    cell = 20.0 * np.eye(3)
    bonds = {
        "Cd-Te": 2.81,
        "Zn-Se": 2.45,
        "Mg-O": 2.10,
        "Ti-O": 1.93,
        "Si-Si": 2.35,
        "H-H": 0.74,
        "O-H": 0.96,
        "N-N": 1.10,
        "C-O": 1.13,
        "V-O": 1.58,
        "U-O": 1.77,
        "Te-Te": 2.0,
        "Ga-As": 2.45,
        "Zn-O": 1.97,
        "Si-O": 1.61,
        "Li-F": 1.57,
    }
    for pair, length_A in bonds.items():
        numbers = np.array([atomic_numbers[symbol] for symbol in pair.split("-")])
        places = np.array([[0.0, 0.0, 0.0], [length_A, 0.0, 0.0]])
        assert not too_close(numbers, places, cell, None), pair
        assert too_close(numbers, 0.5 * places, cell, None), pair
    assert too_close(np.array([52, 52]), np.array([[0.0, 0.0, 0.0], [1.46, 0.0, 0.0]]), cell, None)
    assert too_close(np.array([8, 8]), np.array([[0.2, 0.0, 0.0], [19.9, 0.0, 0.0]]), cell, None), "images"
    assert too_close(np.array([12, 8]), np.array([[0.0, 0.0, 0.0], [2.1, 0.0, 0.0]]), cell, 2.2)
