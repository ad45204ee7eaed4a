"""What status scripts make of a batch system's words: stand-ins that say what PBS and Slurm say."""

import os
import subprocess
from pathlib import Path

import pytest

from support import ROOT

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
