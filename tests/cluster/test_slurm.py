"""The workflow through a real Slurm of one node: a study to its report, what goes wrong, and packed labels."""

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from defectscape.store.record import timestamp_now
from support import ROOT
from support.faulty_study import GROUP, LOW, Study
from support.outcomes import computed_twice, report
from support.slurm_node import SlurmNode, run
from support.small_study import small_study, write_study

SLURM_PROFILE = ["--profile", str(ROOT / "profiles/slurm"), "--jobs", "4"]
SECONDS = ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "2"]


def start(study: Study, *targets: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return study.start(*SLURM_PROFILE, *options, *SECONDS, *targets)


def through_slurm(study: Study, *targets: str) -> subprocess.CompletedProcess[str]:
    return study.run(*SLURM_PROFILE, *SECONDS, *targets)


def labelling(node: SlurmNode) -> list[str]:
    """Numbers of the running labelling jobs."""
    text = run("squeue", "-h", "--states=running", "-o", "%i|%k")
    return [line.partition("|")[0] for line in text.splitlines() if "label" in line]


@pytest.mark.cluster
def test_a_study_from_start_to_report(node: SlurmNode, tmp_path: Path) -> None:
    settings = small_study()
    study = Study(tmp_path)
    write_study(settings, tmp_path)
    before = len(node.jobs())
    done = through_slurm(study)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    jobs = node.jobs()[before:]
    assert Counter(state for _, state in jobs) == {"COMPLETED": len(jobs)}
    submitted = re.findall(r"has been submitted with SLURM jobid (\d+)", done.stdout + done.stderr)
    assert len(submitted) == len(jobs) > 10
    summary = json.loads((tmp_path / "results/small/summary.json").read_text())
    assert [row["key"] for row in summary["defects"]] == ["v_Cd_0", "v_Cd_-1"]
    assert (tmp_path / "results/small/report.html").stat().st_size > 1e5
    again = through_slurm(study)
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.cluster
def test_a_job_that_is_cancelled(node: SlurmNode, pooled: Study) -> None:
    pooled.faults(sleep_s=1.0)
    running = start(pooled, *LOW)
    before = pooled.wait_for_labels(4, running)
    run("scancel", labelling(node)[0])
    pooled.faults()
    text = running.communicate(timeout=300)[0]
    assert running.returncode == 0, text
    assert len(pooled.done()) == 24
    report(
        "a Slurm job cancelled (`scancel`)",
        "Snakemake submits it again, up to `retries` times",
        "`SLURM-job failed, status is CANCELLED`",
        pooled.store,
        before,
    )


@pytest.mark.cluster
def test_a_job_that_needs_more_time_than_it_may(node: SlurmNode, pooled: Study) -> None:
    # One minute, Slurm's smallest limit, is too short for 14 labels of 7 s, and two are enough for the rest.
    pooled.faults(sleep_s=7.0)
    running = start(pooled, *LOW, options=("--set-resources", "label:runtime=1"))
    before = pooled.wait_for_labels(4, running)
    text = running.communicate(timeout=600)[0]
    assert running.returncode == 0, text
    assert "TIMEOUT" in text
    assert len(pooled.done()) == 24
    report(
        "a Slurm job beyond its time limit",
        "It is submitted again (the rules ask for twice the time), and goes on after its last finished label",
        "`SLURM status is: 'TIMEOUT'`",
        pooled.store,
        before,
    )


@pytest.mark.cluster
def test_a_node_that_goes_down(node: SlurmNode, pooled: Study) -> None:
    pooled.faults(sleep_s=1.0)
    running = start(pooled, *LOW)
    before = pooled.wait_for_labels(4, running)
    node.stop_slurmd()
    run("scontrol", "update", f"nodename={node.name}", "state=down", "reason=test")
    time.sleep(2)
    # The node takes all processes of its jobs along: Snakemake's, and the labels that they run.
    subprocess.run(["pkill", "-KILL", "-f", "label(:group=| )v_Cd"], check=False)
    killed_at = timestamp_now()
    pooled.faults()
    node.start_slurmd(resume=True)
    text = running.communicate(timeout=300)[0]
    assert running.returncode == 0, text
    assert len(pooled.done()) == 24
    report(
        "a node that goes down",
        "Slurm puts its jobs back into the queue, and they run again on a node that is up",
        "Nothing, or `NODE_FAIL, but requeue is enabled`",
        pooled.store,
        before,
        killed_at=killed_at,
    )


@pytest.mark.cluster
def test_snakemake_killed_while_slurm_goes_on(node: SlurmNode, pooled: Study) -> None:
    pooled.faults(sleep_s=0.7)
    running = start(pooled, *LOW)
    before = pooled.wait_for_labels(4, running)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    old = labelling(node)
    assert old, "the old jobs should still be running"
    pooled.run("--unlock")
    again = through_slurm(pooled, *LOW)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(pooled.done()) == 24
    report(
        "snakemake killed on the login node, started again while its Slurm jobs still run",
        "The jobs are submitted a second time and label side by side with the first",
        "Two jobs of one name in `squeue`",
        pooled.store,
        before,
        most_twice=24,
    )


@pytest.mark.cluster
def test_any_scheduler_by_its_commands(node: SlurmNode, pooled: Study) -> None:
    """profiles/cluster-generic, told Slurm's commands."""
    pytest.importorskip("snakemake_executor_plugin_cluster_generic")
    done = pooled.run(
        "--profile",
        str(ROOT / "profiles/cluster-generic"),
        "--cluster-generic-submit-cmd",
        "sbatch --parsable --export=ALL -c {threads} --mem={resources.mem_mb} -t {resources.runtime}",
        "--cluster-generic-status-cmd",
        str(ROOT / "profiles/cluster-generic/slurm_status.sh"),
        "--cluster-generic-cancel-cmd",
        "scancel",
        *LOW,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Submitted" in done.stdout + done.stderr
    assert len(pooled.done()) == 24


# The workflow through a real Grid Engine, where this machine is one by itself.


# Packed labels: how many jobs there are, what of their allocation is used, and how they end.

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


def packed_through_slurm(
    study: Study, chunks: int, *options: str, first: int | None = None
) -> tuple[str, list[Allocation]]:
    """Snakemake's words and the jobs of the labels of the pool, or the first of them."""
    before = set(job_numbers())
    targets = [f"{GROUP}/round_0/labels_low/{chunk}-of-{chunks}.json" for chunk in range(chunks)[:first]]
    done = study.run(*SLURM_PROFILE, *SECONDS, *options, *targets)
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
    text, jobs = packed_through_slurm(pooled, 1)
    assert [(job.state, job.cores) for job in jobs] == [("COMPLETED", 2)], text
    assert len(pooled.done()) == LABELS
    packed = share_used(pooled, jobs)
    # About one of the same labels for each job: eight of these jobs tell.
    for record in pooled.store.records():
        pooled.store.path(record.key).unlink()
    pooled.change(lambda study: study.update(label_jobs=LABELS))
    text, jobs = packed_through_slurm(pooled, LABELS, first=8)
    assert len(jobs) == 8
    assert {(job.state, job.cores) for job in jobs} == {("COMPLETED", 1)}, text
    assert packed > 2 * share_used(pooled, jobs)


@pytest.mark.cluster
def test_packed_jobs_as_one_array(node: SlurmNode, pooled: Study) -> None:
    pooled.faults(sleep_s=0.2)
    pooled.change(lambda study: study.update(packing={**PACKING, "low": {"label_s": 50.0, "label_MB": 300}}))
    text, jobs = packed_through_slurm(pooled, 2, "--slurm-array-jobs", "label")
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
    text, jobs = packed_through_slurm(pooled, 1, "--retries", "0")
    assert [job.state for job in jobs] == ["FAILED"], text
    log = (pooled.folder / "results/small/logs/label/v_Cd_0_low_0-of-1.log").read_text()
    left = re.search(r"(\d+) of 24 labels are left at the end of the job's time", log)
    assert left is not None, log
    before = pooled.done()
    assert 0 < len(before) == LABELS - int(left[1])
    monkeypatch.delenv("DEFECTSCAPE_ENDS_AT")
    pooled.faults()
    text, jobs = packed_through_slurm(pooled, 1)
    assert [job.state for job in jobs] == ["COMPLETED"], text
    assert len(pooled.done()) == LABELS
    report(
        "a packed Slurm job whose labels take longer than its wall time",
        "It ends shortly before, and goes on after its last finished label when it is submitted again",
        "`10 of 24 labels are left at the end of the job's time`",
        pooled.store,
        before,
    )
