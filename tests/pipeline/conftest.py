"""The small study, run once, for all tests that look at its results."""

from collections.abc import Iterator

import pytest

from support.small_study import StudyContext, run_study, small_study, write_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyContext]:
    """A finished small study; the tests' working directory is its folder."""
    folder = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield run_study(write_study(small_study(), folder), folder / "results")
