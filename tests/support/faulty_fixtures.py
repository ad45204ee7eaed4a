"""Fixtures: the study of pair energies, prepared once, copied for every fault."""

import shutil
from pathlib import Path

import pytest

from support.faulty import FAULTS
from support.faulty_study import GROUP, SEARCHED, Study


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study up to the first search, without faults."""
    study = Study(tmp_path_factory.mktemp("searched"))
    study.change(lambda _: None)
    study.faults()
    done = study.run(SEARCHED)
    assert done.returncode == 0, done.stdout + done.stderr
    return study


@pytest.fixture
def pooled(searched: Study, tmp_path: Path) -> Study:
    """The same with its pool made and no label."""
    study = Study(tmp_path / "study")
    shutil.copytree(searched.folder, study.folder)
    shutil.rmtree(study.folder / "labels")
    for path in (study.folder / GROUP).glob("round_*"):
        shutil.rmtree(path)
    return study


@pytest.fixture
def here(pooled: Study, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The same, with this process in its folder."""
    monkeypatch.chdir(pooled.folder)
    monkeypatch.setenv(FAULTS, str(pooled.folder / "faults.json"))
    return pooled


@pytest.fixture
def trained(searched: Study, tmp_path: Path) -> Study:
    """A copy of the study up to the first search."""
    study = Study(tmp_path / "study")
    shutil.copytree(searched.folder, study.folder)
    return study
