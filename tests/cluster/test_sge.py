"""The workflow through a real Grid Engine, where this machine is one by itself."""

import platform
import shutil
import subprocess

import pytest

from support import ROOT
from support.faulty_study import LOW, Study

PROFILE = ["--profile", str(ROOT / "profiles/sge"), "--jobs", "4"]
STATUS = ROOT / "profiles/sge/status.sh"


def answer(*command: str) -> str:
    """Standard output; empty where there is no such command, or no Grid Engine behind it."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _engine() -> None:
    # Elsewhere its nodes might not see the test's temporary folder.
    if answer("qconf", "-sel").split() != [platform.node()] or "smp" not in answer("qconf", "-spl"):
        pytest.skip("no Grid Engine of this machine alone, with a parallel environment `smp`")
    pytest.importorskip("snakemake_executor_plugin_cluster_generic")


def submit(tmp_path, text: str, *options: str) -> str:
    script = tmp_path / "job.sh"
    script.write_text(text)
    folder = ["-o", str(tmp_path), "-j", "y", "-terse", "-S", "/bin/bash"]
    return answer("qsub", *folder, *options, str(script))


def state(job: str) -> str:
    return answer(str(STATUS), job)


def test_labels_through_grid_engine(pooled: Study) -> None:
    done = pooled.run(*PROFILE, "--cluster-generic-status-cmd", str(STATUS), *LOW)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Submitted" in done.stdout + done.stderr
    assert len(pooled.done()) == 24


def test_the_state_of_a_job(tmp_path) -> None:
    good, bad = submit(tmp_path, "sleep 3\n"), submit(tmp_path, "exit 3\n")
    assert state(good) == "running"
    ended = {job: state(job) for job in (good, bad)}
    while "running" in ended.values():
        ended = {job: state(job) for job in (good, bad)}
    assert ended == {good: "success", bad: "failed"}


def test_a_job_of_which_nothing_is_known_again(tmp_path) -> None:
    deleted = submit(tmp_path, "sleep 100\n")
    assert answer("qdel", deleted)
    while (found := state(deleted)) == "running":
        pass
    assert found == "failed"
