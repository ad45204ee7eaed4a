"""The workflow through a real Slurm: a study to its report, and what goes wrong on clusters."""

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from defectscape.store.record import timestamp_now
from support import ROOT
from support.faulty_study import LOW, Study
from support.outcomes import report
from support.slurm_node import SlurmNode, run
from support.small_study import small_study, write_study

pytestmark = pytest.mark.cluster

PROFILE = ["--profile", str(ROOT / "profiles/slurm"), "--jobs", "4"]
SECONDS = ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "2"]


def start(study: Study, *targets: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return study.start(*PROFILE, *options, *SECONDS, *targets)


def through_slurm(study: Study, *targets: str) -> subprocess.CompletedProcess[str]:
    return study.run(*PROFILE, *SECONDS, *targets)


def labelling(node: SlurmNode) -> list[str]:
    """Numbers of the running labelling jobs."""
    text = run("squeue", "-h", "--states=running", "-o", "%i|%k")
    return [line.partition("|")[0] for line in text.splitlines() if "label" in line]


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
