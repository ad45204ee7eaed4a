"""Labels side by side in one job: cores and threads of each, errors of one, and the end of the job's time."""

import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from defectscape.domain.errors import EngineError, JobError
from defectscape.domain.label import Label
from defectscape.engines.base import ScfAttempt
from defectscape.engines.program import run_program
from defectscape.engines.registry import make_engine
from defectscape.engines.side_by_side import Room, label_side_by_side, usable_processors
from defectscape.settings.engine import LabelCost, PackingSettings
from defectscape.store.labels import LabelStore

LIMIT = 30.0
SPIN = "import time; t = time.process_time()\nwhile time.process_time() < t + 0.4: pass"
TELL = (
    "import os; print(sorted(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'], "
    "os.environ.get('OMPI_MCA_hwloc_base_binding_policy'))"
)


class Programs:
    """An engine whose calculations run a line of Python in a process of their own."""

    name, version, settings_json = "programs", "0", "{}"
    attempts = (ScfAttempt("first", ""), ScfAttempt("second", ""))

    def __init__(self, folder: Path, line: str, launcher: str = "") -> None:
        self.folder, self.line, self.launcher = folder, line, launcher
        self.said: list[str] = []

    def settings_of(self, numbers) -> str:
        return self.settings_json

    def compute(self, frame, attempt) -> Label:
        folder = self.folder / f"{frame.frame_id}-{attempt}"
        folder.mkdir(exist_ok=True)
        self.said.append(run_program(f"{self.launcher} {sys.executable}", ["-c", self.line], folder, 60.0).output)
        return Label(-1.0, np.full((len(frame), 3), 0.1))


@pytest.fixture
def store(tmp_path) -> LabelStore:
    return LabelStore(tmp_path / "labels")


@pytest.fixture
def frames(crystal, frame_of):
    return [frame_of(crystal("CdTe", rattles=((0.05, seed),))) for seed in range(8)]


def room(cores: int, **more) -> Room:
    return Room(**{"cores": cores, "label_cores": 1, "threads": 1, "label_s": 0.1, **more})


def test_labels_share_out_the_processors_that_the_job_has_for_itself() -> None:
    assert room(8, label_cores=4).processors(range(8)) == [{0, 1, 2, 3}, {4, 5, 6, 7}]
    assert room(7, label_cores=3).processors([1, 3, 5, 7, 9, 11, 13]) == [{1, 3, 5}, {7, 9, 11}]
    # Others work on a machine of which the job has a part, and a job may have got less than it asked for.
    assert room(4, label_cores=2).processors(range(8)) == [set(range(8))] * 2
    assert room(4, label_cores=8).processors(range(4)) == [set(range(4))]


LAUNCHERS = ["", pytest.param("mpirun -n 1", marks=pytest.mark.skipif(not shutil.which("mpirun"), reason="no mpirun"))]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes are placed on Linux alone")
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_each_label_has_its_own_cores_and_threads(tmp_path, store, frames, monkeypatch, launcher) -> None:
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    mine = usable_processors()
    made: list[Programs] = []

    def make() -> Programs:
        made.append(Programs(tmp_path, f"{TELL}; import time; time.sleep(0.2)", launcher))
        return made[-1]

    records = label_side_by_side(frames, make, store, LIMIT, "low", room(len(mine)))
    assert [record.frame.frame_id for record in records] == [frame.frame_id for frame in frames]
    assert len(made) == len(mine)
    unbound = "none" if len(mine) > 1 else "None"
    said = [set(engine.said) for engine in made]
    assert sorted(next(iter(lines)) for lines in said) == sorted(f"[{cpu}] 1 {unbound}\n" for cpu in mine)
    assert all(len(lines) == 1 for lines in said)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OMPI_MCA_hwloc_base_binding_policy" not in os.environ
    assert usable_processors() == mine


def test_a_label_costs_what_its_own_program_took(tmp_path, store, frames) -> None:
    found = label_side_by_side(frames[:4], lambda: Programs(tmp_path, SPIN), store, LIMIT, "low", room(4))
    # A clock of the whole job would count the three others, too.
    assert all(0.4 <= record.core_s < 0.7 for record in found)
    assert all(0.4 <= call.core_s < 0.7 for call in store.calls())


def test_an_engine_that_cannot_run_stops_no_other(tmp_path, store, frames) -> None:
    turns = iter(["import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "import time; time.sleep(0.05)"])
    with pytest.raises(EngineError, match="ended from outside"):
        label_side_by_side(frames, lambda: Programs(tmp_path, next(turns)), store, LIMIT, "low", room(2))
    assert len({record.key for record in store.records()}) == len(frames) - 1
    label_side_by_side(frames, lambda: Programs(tmp_path, ""), store, LIMIT, "low", room(2))
    assert set(Counter(call.key for call in store.calls()).values()) == {1}


def test_a_job_ends_before_its_time_does_and_goes_on_later(tmp_path, store, frames) -> None:
    def label(**more) -> list:
        def make() -> Programs:
            return Programs(tmp_path, "import time; time.sleep(1.0)")

        return label_side_by_side(frames, make, store, LIMIT, "v_Cd low", room(2, **more))

    ends_at = time.time() + 4.0
    with pytest.raises(JobError, match=r"of 8 labels are left.*goes on from the store.*packing says 0.1 s"):
        label(ends_at=ends_at)
    assert time.time() < ends_at
    done = len(store.calls())
    assert 1 <= done < len(frames)
    assert len(label(ends_at=time.time() + 600)) == len(frames)
    assert len(store.calls()) == len(frames)


def test_a_calculation_that_outlasts_the_job_is_ended_and_is_no_failure(tmp_path, store, frames) -> None:
    long = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    began = time.time()
    with pytest.raises(JobError, match=r"8 of 8 labels are left.*No label ended here"):
        label_side_by_side(frames, lambda: Programs(tmp_path, long), store, LIMIT, "low", room(2, ends_at=began + 1.0))
    assert time.time() < began + 10.0
    assert store.calls() == []
    assert list(store.records()) == []


def test_libraries_in_their_processes(store, crystal, frame_of, tblite_settings) -> None:
    frames = [frame_of(crystal("CdTe", rattles=((0.05, seed),)), charge) for seed in range(2) for charge in (0, 1)]
    together = label_side_by_side(frames, lambda: make_engine(tblite_settings()), store, LIMIT, "low", room(2))
    alone = make_engine(tblite_settings())
    for record in together:
        assert record.label is not None
        label = alone.compute(record.frame, 0)
        assert record.label.energy_eV == label.energy_eV
        assert record.label.forces_eV_A.tobytes() == label.forces_eV_A.tobytes()
        assert record.core_s > 0


def packing(**more) -> PackingSettings:
    given = {"job_minutes": 60, "job_cores": 32, "low": LabelCost(label_s=30.0), "high": LabelCost(label_s=600.0)}
    return PackingSettings(**{**given, **more})


def test_the_number_of_jobs_follows_from_their_time() -> None:
    made = packing(high=LabelCost(label_s=600.0, label_cores=16))
    assert (made.side_by_side("low"), made.side_by_side("high")) == (32, 2)
    # Of 3600 s a job leaves 90 to the batch system, and a fifth of the rest to chance.
    assert made.jobs(2 * 4, "high") == 1
    assert made.jobs(2 * 5, "high") == 2
    assert made.jobs(1000, "low") == 1
    assert made.jobs(32 * 94, "low") == 2
    assert made.jobs(0, "low") == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"high": LabelCost(label_s=600.0, label_cores=64)}, r"job_cores 32 are fewer than high.label_cores 64"),
        ({"job_minutes": 10}, r"job_minutes 10 leave 510 s for labels, and high.label_s is 600"),
    ],
)
def test_a_job_that_holds_no_label(wrong, words) -> None:
    with pytest.raises(ValidationError, match=words):
        packing(**wrong)
