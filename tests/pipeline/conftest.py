"""The small study, run once, for all tests that look at its results."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_study import StudyContext, run_study, small_study, write_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyContext]:
    """A finished small study; the tests' working directory is its folder."""
    folder = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield run_study(write_study(small_study(), folder), folder / "results")
