"""The workflow and the check of a study, as users call them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from defectscape.domain.errors import DefectscapeError
from defectscape.study.context import StudyContext
from defectscape.tools.check import make_plan
from support import ROOT
from support.small_study import write_study

# The workflow as users call it.


BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
}


def snakemake(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the workflow on the study in a folder."""
    return subprocess.run(
        [
            BIN / "snakemake",
            "--snakefile",
            ROOT / "Snakefile",
            "--cores",
            "2",
            *options,
            "--config",
            "study=study.yaml",
        ],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


# The check of a study that it must refuse.


def refused(folder: Path, study: dict[str, Any]) -> str:
    """What the check says of a study in a folder; it computes nothing."""
    path = write_study(study, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(DefectscapeError) as caught:
            make_plan(StudyContext.load(path.relative_to(folder), Path("results")))
    assert not (folder / "labels").exists()
    return str(caught.value)
