"""The workflow through batch systems: a real Grid Engine, and stand-ins for what others say."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from support import ROOT
from support.faulty_study import LOW, Study

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
