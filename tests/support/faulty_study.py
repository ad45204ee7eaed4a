"""A small study of pair energies: its folder, what can be done in it, and fixtures that copy it for every fault."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from defectscape.domain.frame import Frame
from defectscape.files.extxyz import read_frames
from defectscape.stages.labels import label_chunk
from defectscape.store.labels import LabelStore
from defectscape.study.context import StudyContext
from support import ROOT
from support.faulty import FAULTS, name_of
from support.outcomes import finished_keys
from support.small_study import small_study, write_study

# A small study of pair energies, its folder, and what can be done in it.


BIN = Path(sys.executable).parent
GROUP = "results/small/groups/v_Cd"
LOW = [f"{GROUP}/round_0/labels_low/{chunk}-of-2.json" for chunk in range(2)]
SEARCHED = f"{GROUP}/round_0/relaxations.json"


def faulty_study() -> dict[str, Any]:
    """The small study with pair energies for both fidelities, and two labelling jobs."""
    study = small_study()
    study["label_jobs"] = 2
    for level, depth in (("low", 0.3), ("high", 0.36)):
        study["fidelities"][level]["engine"] = {
            "kind": "ase",
            "calculator": "support.faulty.Pairs",
            "method": f"pairs {level}",
            "arguments": {"depth_eV": depth},
            "charge": "charge",
            "multiplicity": "none",
            "time_limit_s": 10.0,
        }
    return study


@dataclass(frozen=True)
class Study:
    """A study's folder and what can be done in it."""

    folder: Path

    @property
    def store(self) -> LabelStore:
        return LabelStore(self.folder / "labels")

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "Agg",
            "PYTHONPATH": os.pathsep.join(paths),
            FAULTS: str(self.folder / "faults.json"),
        }

    def faults(self, sleep_s: float = 0.0, habits: dict[str, str] | None = None) -> None:
        (self.folder / "faults.json").write_text(json.dumps({"sleep_s": sleep_s, "habits": habits or {}}))

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        study = deepcopy(faulty_study())
        change(study)
        write_study(study, self.folder)

    def command(self, *targets: str) -> list[str | Path]:
        return [
            BIN / "snakemake",
            "--snakefile",
            ROOT / "Snakefile",
            "--cores",
            "2",
            *targets,
            "--config",
            "study=study.yaml",
        ]

    def run(self, *targets: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*targets),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def finish(self, *targets: str) -> None:
        """Unlock and run to the end, as the user does the next morning."""
        self.run("--unlock")
        done = self.run(*targets)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *targets: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*targets),
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of defectscape's."""
        return subprocess.run(
            [BIN / "defectscape", "--study", "study.yaml", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def context(self) -> StudyContext:
        """What the stages of this study work with; paths are relative to the study's folder."""
        return StudyContext.load(Path("study.yaml"), Path("results"))

    def label_all(self) -> None:
        """What the two labelling jobs do, in this process, which must be in the study's folder."""
        context = self.context()
        for chunk in range(2):
            label_chunk(context, "v_Cd", 0, "low", chunk)

    def pool(self) -> tuple[Frame, ...]:
        return tuple(read_frames(self.folder / GROUP / "pool.extxyz"))

    def name(self, index: int) -> str:
        """What the calculator knows a frame of the pool as."""
        return name_of(self.pool()[index].positions_A)

    def done(self) -> set[str]:
        return finished_keys(self.folder / "labels")

    def wait_for_labels(self, count: int, running: subprocess.Popen[str]) -> set[str]:
        """Until so many labels are there, with the work still going on; their keys."""
        deadline = time.monotonic() + 180
        while len(self.done()) < count:
            assert running.poll() is None, running.communicate()[0]
            assert time.monotonic() < deadline, "too few labels in three minutes"
            time.sleep(0.02)
        return self.done()


# Fixtures: the study of pair energies, prepared once, copied for every fault.


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
