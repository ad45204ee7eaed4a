"""Programs: no shell, no time beyond the limit, no process and no folder left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from defectscape.domain.errors import EngineError
from defectscape.engines.base import CalculationFailed
from defectscape.engines.program import run_program, scratch_folder


def program(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(text)
    return f"{sys.executable} {path}"


def gone(process: int, within_s: float = 10.0) -> bool:
    """Whether a process is no more, or is about to be."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        stat = Path(f"/proc/{process}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_the_command_is_words_not_a_shell(tmp_path: Path) -> None:
    command = program(tmp_path, "import sys; print(sys.argv[1:])")
    done = run_program(f"{command} 'a b' $HOME ; touch {tmp_path}/made", ["-in", "x"], tmp_path, 60)
    assert done.returncode == 0
    assert f"['a b', '$HOME', ';', 'touch', '{tmp_path}/made', '-in', 'x']" in done.output
    assert not (tmp_path / "made").exists()


def test_status_and_words_of_a_failure_come_back(tmp_path: Path) -> None:
    text = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    done = run_program(program(tmp_path, text), [], tmp_path, 60)
    assert done.returncode == 7
    assert "out" in done.output
    assert "err" in done.output


@pytest.mark.parametrize(
    "text",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "raise SystemExit(137)",
        "print('rank 1 exited on signal 9 (Killed).'); raise SystemExit(1)",
        "print('EXIT STRING: Killed (signal 9)'); raise SystemExit(9)",
        "print('error: Detected 1 oom_kill event in StepId=7.0'); raise SystemExit(1)",
    ],
    ids=["SIGKILL", "SIGTERM", "launcher's status", "Open MPI", "MPICH", "Slurm"],
)
def test_a_program_that_another_ended_has_not_failed(tmp_path: Path, text: str) -> None:
    with pytest.raises(EngineError, match="ended from outside"):
        run_program(program(tmp_path, text), [], tmp_path, 60)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("print('MPI_ABORT was invoked on rank 0; task 1: Killed'); raise SystemExit(137)", 137),
        ("print('said of old: exited on signal 9')", 0),
    ],
    ids=["its own crash", "its own abort", "success"],
)
def test_a_program_s_own_end_is_its_own(tmp_path: Path, text: str, status: int) -> None:
    assert run_program(program(tmp_path, text), [], tmp_path, 60).returncode == status


def test_one_thread_unless_the_user_says_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = program(tmp_path, "import os; print(os.environ['OMP_NUM_THREADS'])")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert run_program(command, [], tmp_path, 60).output.strip() == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert run_program(command, [], tmp_path, 60).output.strip() == "4"


def test_a_program_beyond_its_time_is_ended_with_its_children(tmp_path: Path) -> None:
    text = (
        "import subprocess, sys, time, os\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('pids', 'w').write(f'{os.getpid()} {child.pid}')\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(CalculationFailed, match="had not ended after 3 s") as caught:
        run_program(program(tmp_path, text), [], tmp_path, 3)
    assert caught.value.hopeless
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_what_a_program_leaves_running_is_ended(tmp_path: Path) -> None:
    text = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('pid', 'w').write(str(child.pid))\n"
    )
    assert run_program(program(tmp_path, text), [], tmp_path, 60).returncode == 0
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_killed_labelling_job_takes_its_program_along(tmp_path: Path) -> None:
    inner = program(tmp_path, "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)")
    outer = (
        "from pathlib import Path; from defectscape.engines.program import run_program;"
        f"run_program({inner!r}, [], Path({str(tmp_path)!r}), 600)"
    )
    job = subprocess.Popen([sys.executable, "-c", outer])
    end = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="program no-such-program"):
        run_program("no-such-program -x", [], tmp_path, 60)


def test_the_scratch_folder_goes_whatever_happens(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "file").write_text("x")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError), scratch_folder(tmp_path) as folder:
        (folder / "file").rename(folder / "no" / "such" / "place")
    assert not list(tmp_path.iterdir())


def test_folders_of_the_dead_are_removed_and_of_the_living_kept(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from defectscape.engines.program import scratch_folder\n"
        f"with scratch_folder(Path({str(tmp_path)!r})) as folder:\n"
        "    print(folder, flush=True); time.sleep(600)\n"
    )
    jobs = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = [Path(job.stdout.readline().strip()) for job in jobs]
    jobs[0].kill()
    jobs[0].wait()
    elsewhere = tmp_path / "defectscape-othernode-abc"
    elsewhere.mkdir()
    try:
        assert all(folder.is_dir() for folder in folders)
        with scratch_folder(tmp_path):
            assert not folders[0].exists()
            assert folders[1].is_dir()
        assert {path.name for path in tmp_path.iterdir()} == {folders[1].name, elsewhere.name}
    finally:
        jobs[1].kill()
        jobs[1].wait()


def test_a_scratch_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(EngineError, match=r"scratch folder .*file"),
        scratch_folder(tmp_path / "file"),
    ):
        pass
