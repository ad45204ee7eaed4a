"""The check of a study that it must refuse."""

from pathlib import Path
from typing import Any

import pytest

from defectscape.domain.errors import DefectscapeError
from defectscape.study.context import StudyContext
from defectscape.tools.check import make_plan
from support.small_study import write_study


def refused(folder: Path, study: dict[str, Any]) -> str:
    """What the check says of a study in a folder; it computes nothing."""
    path = write_study(study, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(DefectscapeError) as caught:
            make_plan(StudyContext.load(path.relative_to(folder), Path("results")))
    assert not (folder / "labels").exists()
    return str(caught.value)
