"""Relative paths of a study: from its own folder, or from the working directory as in a clone."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from defectscape.settings.load import load_study
from support.small_study import small_study


def study_with(host: str) -> dict[str, Any]:
    study = small_study()
    study["host"]["file"] = host
    return study


def write(path: Path, study: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(study))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", ["my/study.yaml", "{here}/my/study.yaml"])
def test_a_study_beside_its_structures_is_used_from_anywhere(here: Path, file: str) -> None:
    study = study_with("hosts/CdTe.vasp")
    write(here / "my/study.yaml", study)
    (here / "my/hosts").mkdir()
    (here / "my/hosts/CdTe.vasp").touch()
    given = Path(file.format(here=here))
    loaded = load_study(given)
    assert loaded.host.file == given.parent / "hosts/CdTe.vasp"
    assert loaded.label_store == given.parent / "labels"
    # Absolute ones stay.
    references = study["thermo"]["elemental_references"]
    assert {k: str(v.file) for k, v in loaded.thermo.elemental_references.items()} == references


def test_in_its_own_folder_the_paths_are_as_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "study.yaml", study_with("CdTe.vasp"))
    (here / "CdTe.vasp").touch()
    loaded = load_study(Path("study.yaml"))
    assert (loaded.host.file, loaded.label_store) == (Path("CdTe.vasp"), Path("labels"))


def test_a_study_in_a_clone_names_files_from_the_working_directory(here: Path) -> None:
    write(here / "config/study.yaml", study_with("config/hosts/CdTe.vasp"))
    (here / "config/hosts").mkdir()
    (here / "config/hosts/CdTe.vasp").touch()
    loaded = load_study(Path("config/study.yaml"))
    assert loaded.host.file == Path("config/hosts/CdTe.vasp")
    assert loaded.label_store == Path("labels")


def test_the_study_s_folder_wins_over_the_working_directory(here: Path) -> None:
    write(here / "my/study.yaml", study_with("CdTe.vasp"))
    for place in (here, here / "my"):
        (place / "CdTe.vasp").touch()
    assert load_study(Path("my/study.yaml")).host.file == Path("my/CdTe.vasp")


def test_absolute_files_say_nothing_of_where_the_labels_are(here: Path) -> None:
    write(here / "my/study.yaml", small_study())
    assert load_study(Path("my/study.yaml")).label_store == Path("labels")
