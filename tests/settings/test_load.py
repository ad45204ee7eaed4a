"""Bad configuration ends in one line that names the key, the value and the remedy."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from defectscape.domain.errors import ConfigError
from defectscape.settings.default_study import DEFAULT_STUDY
from defectscape.settings.load import load_study


def write(folder: Path, **changes: Any) -> Path:
    """The default study with values at dotted keys replaced."""
    study = deepcopy(DEFAULT_STUDY)
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        place: Any = study
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        place[last] = value
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_default_study_is_valid(tmp_path: Path) -> None:
    assert load_study(write(tmp_path)).study == "cdte"


def test_a_typo_names_the_key_that_was_meant(tmp_path: Path) -> None:
    message = refused(write(tmp_path, sampling__bond_distortion=[0.1]))
    assert "sampling.bond_distortion" in message
    assert "Did you mean 'bond_distortions'?" in message


def test_a_typo_within_a_union_or_a_list_is_found(tmp_path: Path) -> None:
    assert "colour" in refused(write(tmp_path, defects__0__colour="red"))
    assert "temperatur" in refused(write(tmp_path, fidelities__low__engine__temperatur=300))


@pytest.mark.parametrize(
    ("charges", "telling"),
    [
        ([2], "write '+2'"),
        (["2"], "sign"),
        (["+9"], "less than or equal to 8"),
        (["0", "0"], "twice"),
        ([1.0], "sign"),
        ([True], "sign"),
        ([], "at least 1"),
    ],
)
def test_bad_charges_are_refused(tmp_path: Path, charges: list[Any], telling: str) -> None:
    assert telling in refused(write(tmp_path, defects__0__charges=charges))


def test_bare_zero_and_negative_charges_carry_their_sign(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, defects__0__charges=[0, -1, -2]))
    assert study.defects[0].charges == [0, -1, -2]


def test_clashing_fidelity_names_are_refused(tmp_path: Path) -> None:
    message = refused(write(tmp_path, fidelities__low__name="ipea1"))
    assert "clash" in message
    assert "ipea1" in message


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    data = yaml.safe_load(path.read_text())
    del data["thermo"]["correction"]
    path.write_text(yaml.safe_dump(data))
    assert "thermo.correction" in refused(path)


def test_a_study_of_an_earlier_version_may_say_that_networks_see_the_charge(tmp_path: Path) -> None:
    said = write(tmp_path, training__charge_embedding=True, exploration__training__charge_embedding=True)
    study = load_study(said)
    assert study == load_study(write(tmp_path))
    for value in (False, "yes"):
        message = refused(write(tmp_path, training__charge_embedding=value))
        assert "every network sees the charge; remove the key" in message


def test_strict_types_are_not_coerced(tmp_path: Path) -> None:
    assert "search.max_steps" in refused(write(tmp_path, search__max_steps="80"))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("study: [unclosed")
    assert "not valid YAML" in refused(broken)
    broken.write_text("- a\n- b\n")
    assert "mapping" in refused(broken)
    broken.write_text("study: a\nstudy: b\n")
    assert "given twice" in refused(broken)


@pytest.mark.parametrize("name", ["../escape", "a/b", "", "a b", "$(rm)"])
def test_names_that_are_not_safe_in_paths_are_refused(tmp_path: Path, name: str) -> None:
    assert "study" in refused(write(tmp_path, study=name))


def engine(kind: str, **changes: Any) -> dict[str, Any]:
    """Settings of an engine that runs a program."""
    common = {"kind": kind, "functional": "pbe", "command": "program", "kpoints": [1, 1, 1]}
    own: dict[str, dict[str, Any]] = {
        "espresso": {"pseudo_dir": "p", "pseudopotentials": {"Cd": "Cd.upf"}, "cutoff_Ry": 30.0},
        "vasp": {"potcar_dir": "p", "potcars": {"Cd": "Cd"}, "cutoff_eV": 400.0},
    }
    return {**common, **own[kind], **changes}


@pytest.mark.parametrize(
    ("settings", "telling"),
    [
        (engine("espresso", cutoff=3.0), "Did you mean 'cutoff_Ry'"),
        (engine("vasp", cutoff=3.0), "Did you mean 'cutoff_eV'"),
        (engine("espresso", command="'pw.x"), "fidelities.low.engine.command"),
        (engine("vasp", command=" "), "program's name"),
        (engine("espresso", kpoints=[1, 0, 1]), "positive integers"),
        (engine("espresso", functional="hse06", stress=True), "stress of a hybrid"),
        (engine("espresso", keywords={"system": {"tot_charge": 1}}), "follows from the frame"),
        (engine("vasp", incar={"NELECT": 8}), "follows from the frame"),
        (engine("vasp", functional="lda"), "'pbesol'"),
    ],
)
def test_engines_of_programs_are_checked(tmp_path: Path, settings: dict[str, Any], telling: str) -> None:
    message = refused(write(tmp_path, fidelities__low__engine=settings))
    assert telling in message
    assert ".espresso" not in message
    assert ".vasp" not in message


def test_merged_yaml_keys_may_be_given_again_but_not_twice(tmp_path: Path) -> None:
    path = write(tmp_path)
    text = path.read_text()
    assert "seed: 2026" in text
    merged = text.replace("seed: 2026", "<<: {seed: 7}\nseed: 2026")
    path.write_text(merged)
    assert load_study(path).seed == 2026
    path.write_text(text.replace("seed: 2026", "seed: 2026\nseed: 7"))
    assert "twice" in refused(path)
