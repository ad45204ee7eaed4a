"""The workflow through batch systems: a real Slurm, a real Grid Engine, and stand-ins for what others say."""

import json
import os
import platform
import re
import shutil
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

# The workflow through a real Slurm: a study to its report, and what goes wrong on clusters.


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


SGE_PROFILE = ["--profile", str(ROOT / "profiles/sge"), "--jobs", "4"]
SGE_STATUS = ROOT / "profiles/sge/status.sh"


def output_of(*command: str) -> str:
    """Standard output; empty where there is no such command, or no Grid Engine behind it."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


@pytest.fixture
def _grid_engine() -> None:
    # Elsewhere its nodes might not see the test's temporary folder.
    if output_of("qconf", "-sel").split() != [platform.node()] or "smp" not in output_of("qconf", "-spl"):
        pytest.skip("no Grid Engine of this machine alone, with a parallel environment `smp`")
    pytest.importorskip("snakemake_executor_plugin_cluster_generic")


def submit(tmp_path, text: str, *options: str) -> str:
    script = tmp_path / "job.sh"
    script.write_text(text)
    folder = ["-o", str(tmp_path), "-j", "y", "-terse", "-S", "/bin/bash"]
    return output_of("qsub", *folder, *options, str(script))


def state_of(job: str) -> str:
    return output_of(str(SGE_STATUS), job)


@pytest.mark.usefixtures("_grid_engine")
@pytest.mark.cluster
def test_labels_through_grid_engine(pooled: Study) -> None:
    done = pooled.run(*SGE_PROFILE, "--cluster-generic-status-cmd", str(SGE_STATUS), *LOW)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Submitted" in done.stdout + done.stderr
    assert len(pooled.done()) == 24


@pytest.mark.usefixtures("_grid_engine")
@pytest.mark.cluster
def test_the_state_of_a_job(tmp_path) -> None:
    good, bad = submit(tmp_path, "sleep 3\n"), submit(tmp_path, "exit 3\n")
    assert state_of(good) == "running"
    ended = {job: state_of(job) for job in (good, bad)}
    while "running" in ended.values():
        ended = {job: state_of(job) for job in (good, bad)}
    assert ended == {good: "success", bad: "failed"}


@pytest.mark.usefixtures("_grid_engine")
@pytest.mark.cluster
def test_a_job_of_which_nothing_is_known_again(tmp_path) -> None:
    deleted = submit(tmp_path, "sleep 100\n")
    assert output_of("qdel", deleted)
    while (found := state_of(deleted)) == "running":
        pass
    assert found == "failed"


# What status scripts make of a batch system's words: stand-ins that say what PBS and Slurm say.


SCRIPTS = ROOT / "profiles/cluster-generic"
PBS = "Job Id: 7.server\n    job_state = {}\n    {}\n"
SLURM = "JobId=7 JobName=x\n   JobState={} Reason=None Dependency=(null)\n"


def answer(tmp_path: Path, script: str, command: str, *says: tuple[int, str]) -> str:
    """The script's word, where each call of the command says the next of ``says``, the last one for ever."""
    program = tmp_path / command
    for number, (status, text) in enumerate(says):
        (tmp_path / f"{number}.txt").write_text(text)
        (tmp_path / f"{number}.status").write_text(str(status))
    program.write_text(
        f'#!/bin/sh\ncd {tmp_path}\nn=$(cat n 2>/dev/null || echo 0)\n[ "$n" -lt {len(says) - 1} ] '
        '&& echo $((n + 1)) > n\ncat "$n.txt"\nexit $(cat "$n.status")\n'
    )
    (tmp_path / "sleep").write_text("#!/bin/sh\n")
    for path in (program, tmp_path / "sleep"):
        path.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [SCRIPTS / script, "7"],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("state", "more", "word"),
    [
        ("R", "", "running"),
        ("Q", "", "running"),
        ("E", "", "running"),
        ("F", "Exit_status = 0", "success"),
        ("F", "Exit_status = 271", "failed"),
        ("F", "", "failed"),
    ],
)
def test_pbs(tmp_path: Path, state: str, more: str, word: str) -> None:
    assert answer(tmp_path, "pbs_status.sh", "qstat", (0, PBS.format(state, more))) == word


@pytest.mark.parametrize(
    ("state", "word"),
    [("RUNNING", "running"), ("PENDING", "running"), ("COMPLETED", "success"), ("TIMEOUT", "failed")],
)
def test_slurm(tmp_path: Path, state: str, word: str) -> None:
    assert answer(tmp_path, "slurm_status.sh", "scontrol", (0, SLURM.format(state))) == word


@pytest.mark.parametrize(
    ("script", "command", "silent", "running", "unknown"),
    [
        ("pbs_status.sh", "qstat", "Connection refused", PBS.format("R", ""), "qstat: Unknown Job Id 7"),
        (
            "slurm_status.sh",
            "scontrol",
            "Socket timed out on send/recv operation",
            SLURM.format("RUNNING"),
            "slurm_load_jobs error: Invalid job id specified",
        ),
    ],
)
def test_a_server_that_does_not_answer_is_asked_again(
    tmp_path: Path, script: str, command: str, silent: str, running: str, unknown: str
) -> None:
    says = [(1, silent), (1, silent), (0, running)]
    assert answer(tmp_path, script, command, *says) == "running"
    for name in ("gone", "down"):
        (tmp_path / name).mkdir()
    assert answer(tmp_path / "gone", script, command, (1, unknown), (0, running)) == "failed"
    assert answer(tmp_path / "down", script, command, (1, silent)) == "failed"
