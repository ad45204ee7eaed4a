"""Packed labels through a real Slurm: how many jobs there are, what of their allocation is used, and how they end."""

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from support import ROOT
from support.faulty_study import GROUP, Study
from support.outcomes import computed_twice, report
from support.slurm_node import SlurmNode, run

OPTIONS = [
    *("--profile", str(ROOT / "profiles/slurm"), "--jobs", "4"),
    *("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "2"),
]
LABELS = 24
PACKING: dict[str, Any] = {
    "job_minutes": 10,
    "job_cores": 2,
    "low": {"label_s": 2.0, "label_MB": 300},
    "high": {"label_s": 2.0},
}


@dataclass(frozen=True)
class Allocation:
    """What Slurm says of a job: its state, its cores, and how long it had them, s."""

    state: str
    cores: int
    elapsed_s: float


def job_numbers() -> list[str]:
    return run("squeue", "-h", "--states=all", "--array", "--sort=i", "-o", "%i").split()


def allocation(job: str) -> Allocation:
    said = dict(re.findall(r"(\w+)=(\S+)", run("scontrol", "show", "job", job)))
    began, ended = (datetime.fromisoformat(said[name]) for name in ("StartTime", "EndTime"))
    return Allocation(said["JobState"], int(said["NumCPUs"]), (ended - began).total_seconds())


def through_slurm(study: Study, chunks: int, *options: str, first: int | None = None) -> tuple[str, list[Allocation]]:
    """Snakemake's words and the jobs of the labels of the pool, or the first of them."""
    before = set(job_numbers())
    targets = [f"{GROUP}/round_0/labels_low/{chunk}-of-{chunks}.json" for chunk in range(chunks)[:first]]
    done = study.run(*OPTIONS, *options, *targets)
    jobs = [allocation(job) for job in job_numbers() if job not in before]
    return done.stdout + done.stderr, jobs


def share_used(study: Study, jobs: list[Allocation]) -> float:
    """Of the core-seconds that Slurm handed out, those in which an engine was at work."""
    at_work_s = sum(record.wall_s for record in study.store.records())
    return at_work_s / sum(job.cores * job.elapsed_s for job in jobs)


@pytest.mark.cluster
def test_packed_labels_use_most_of_what_they_are_given(node: SlurmNode, pooled: Study) -> None:
    pooled.faults(sleep_s=2.0)
    pooled.change(lambda study: study.update(packing=PACKING))
    text, jobs = through_slurm(pooled, 1)
    assert [(job.state, job.cores) for job in jobs] == [("COMPLETED", 2)], text
    assert len(pooled.done()) == LABELS
    packed = share_used(pooled, jobs)
    # About one of the same labels for each job: eight of these jobs tell.
    for record in pooled.store.records():
        pooled.store.path(record.key).unlink()
    pooled.change(lambda study: study.update(label_jobs=LABELS))
    text, jobs = through_slurm(pooled, LABELS, first=8)
    assert len(jobs) == 8
    assert {(job.state, job.cores) for job in jobs} == {("COMPLETED", 1)}, text
    assert packed > 2 * share_used(pooled, jobs)


@pytest.mark.cluster
def test_packed_jobs_as_one_array(node: SlurmNode, pooled: Study) -> None:
    pooled.faults(sleep_s=0.2)
    pooled.change(lambda study: study.update(packing={**PACKING, "low": {"label_s": 50.0, "label_MB": 300}}))
    text, jobs = through_slurm(pooled, 2, "--slurm-array-jobs", "label")
    assert [job.state for job in jobs] == ["COMPLETED"] * 2, text
    assert len(re.findall("Submitted array job", text)) == 1, text
    assert len(pooled.done()) == LABELS
    assert computed_twice(pooled.store) == 0


@pytest.mark.cluster
def test_a_job_that_runs_out_of_its_time_ends_by_itself(
    node: SlurmNode, pooled: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    pooled.faults(sleep_s=3.0)
    pooled.change(lambda study: study.update(packing={**PACKING, "job_cores": 1}))
    # Slurm's jobs inherit it, so that none need wait for its two minutes: the shortest that Slurm would enforce.
    monkeypatch.setenv("DEFECTSCAPE_ENDS_AT", str(time.time() + 45))
    text, jobs = through_slurm(pooled, 1, "--retries", "0")
    assert [job.state for job in jobs] == ["FAILED"], text
    log = (pooled.folder / "results/small/logs/label/v_Cd_0_low_0-of-1.log").read_text()
    left = re.search(r"(\d+) of 24 labels are left at the end of the job's time", log)
    assert left is not None, log
    before = pooled.done()
    assert 0 < len(before) == LABELS - int(left[1])
    monkeypatch.delenv("DEFECTSCAPE_ENDS_AT")
    pooled.faults()
    text, jobs = through_slurm(pooled, 1)
    assert [job.state for job in jobs] == ["COMPLETED"], text
    assert len(pooled.done()) == LABELS
    report(
        "a packed Slurm job whose labels take longer than its wall time",
        "It ends shortly before, and goes on after its last finished label when it is submitted again",
        "`10 of 24 labels are left at the end of the job's time`",
        pooled.store,
        before,
    )
