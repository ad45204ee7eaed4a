"""The small study, run once in a process; each file of tests has a copy of it, which it may change."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.small_study import StudyContext, run_study, small_study, write_study


@pytest.fixture(scope="session")
def _run_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished small study."""
    folder = tmp_path_factory.mktemp("run_once")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_study(write_study(small_study(), folder), folder / "results")
    return folder


@pytest.fixture(scope="module")
def finished(_run_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyContext]:
    """A finished small study; the tests' working directory is its folder."""
    folder = tmp_path_factory.mktemp("small") / "study"
    shutil.copytree(_run_once, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield StudyContext.load(folder / "study.yaml", folder / "results")
