"""Engines in a process of their own, and the programs that engines start."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, Engine
from defectscape.engines.charge_check import ChargeCheckedEngine
from defectscape.engines.isolated import IsolatedEngine
from defectscape.engines.labelling import label_frame
from defectscape.engines.processor_time import core_seconds
from defectscape.engines.program import run_program, scratch_folder
from defectscape.engines.registry import make_engine, make_local_engine
from defectscape.engines.worker_process import PICKLES, WorkerProcess
from defectscape.settings.ase_calculator import AseSettings
from defectscape.store.labels import LabelStore

# Engines in a process of their own: the same labels, and a death that costs one label.


def settings(**changes: object) -> AseSettings:
    values: dict[str, object] = {
        "kind": "ase",
        "calculator": "support.sleepy.Habits",
        "method": "x",
        "charge": "info.q",
        "multiplicity": "none",
    }
    return AseSettings.model_validate(values | changes)


@pytest.fixture
def frame(crystal, frame_of) -> Frame:
    return frame_of(crystal("CdTe", vacancy=True), -1)


def command_lines() -> list[list[str]]:
    """Of all processes; one that has ended, but was not waited for, has none."""
    return [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]


def process_of(engine: Engine) -> WorkerProcess | None:
    inner = engine.engine if isinstance(engine, ChargeCheckedEngine) else engine
    assert isinstance(inner, IsolatedEngine)
    return inner._worker


def worker_of(engine: Engine) -> int:
    worker = process_of(engine)
    assert worker is not None
    return worker.number


def test_a_library_has_its_own_process_and_gives_the_same_label(frame, tblite_settings) -> None:
    engine, local = make_engine(tblite_settings()), make_local_engine(tblite_settings())
    assert isinstance(engine, IsolatedEngine)
    mine, reference = engine.compute(frame, 0), local.compute(frame, 0)
    # Sums depend on how arrays happen to lie in memory, in the last bits.
    assert mine.energy_eV == pytest.approx(reference.energy_eV, abs=1e-9)
    np.testing.assert_allclose(mine.forces_eV_A, reference.forces_eV_A, atol=1e-9)
    assert engine.settings_of(frame.numbers) == local.settings_of(frame.numbers)
    assert worker_of(engine) != os.getpid()


def test_failures_and_faults_keep_their_meaning(frame) -> None:
    with pytest.raises(CalculationFailed, match="another structure") as caught:
        make_engine(settings(arguments={"moves": True})).compute(frame, 0)
    assert caught.value.hopeless
    with pytest.raises(EngineError, match="colour"):
        make_engine(settings(arguments={"colour": "red"})).compute(frame, 0)


def test_it_may_take_no_longer_than_it_is_given(frame) -> None:
    engine = make_engine(settings(arguments={"sleep_s": 30}, time_limit_s=0.5))
    began = time.monotonic()
    with pytest.raises(CalculationFailed, match=r"had not ended after 0\.5 s") as caught:
        engine.compute(frame, 0)
    assert caught.value.hopeless
    assert time.monotonic() - began < 25


def test_a_calculator_s_own_program_ends_with_it(frame) -> None:
    seconds = f"{1000 + os.getpid() / 1e6:.6f}"
    mine = ["sleep", seconds]
    engine = make_engine(settings(arguments={"sleep_s": 30, "program": mine}, time_limit_s=3.0))
    seen: list[str] = []

    def look() -> None:
        while not seen:
            seen.extend(line for line in command_lines() if line == mine)
            time.sleep(0.05)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    with pytest.raises(CalculationFailed, match="had not ended"):
        engine.compute(frame, 0)
    watcher.join(timeout=5)
    assert seen, "it was never started"
    deadline = time.monotonic() + 5
    while mine in command_lines() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert mine not in command_lines()


@pytest.mark.parametrize(("habit", "words"), [("segmentation_fault", "SIGSEGV"), ("exits", "exit status 7")])
def test_a_crash_is_a_recorded_failure_and_the_next_label_is_computed(
    frame, tmp_path: Path, habit: str, words: str
) -> None:
    store = LabelStore(tmp_path)
    bad = label_frame(frame, make_engine(settings(arguments={habit: True})), store, 30.0)
    assert bad.label is None
    assert words in (bad.failure or "")
    good = label_frame(frame, make_engine(settings()), store, 30.0)
    assert good.label is not None
    statuses = [call.status for call in store.calls()]
    assert sorted(statuses) == ["failed", "ok"]


def test_a_worker_that_was_killed_is_started_again(frame) -> None:
    engine = make_engine(settings())
    engine.compute(frame, 0)
    first = worker_of(engine)
    os.kill(first, signal.SIGKILL)
    while Path(f"/proc/{first}/stat").read_text().split()[2] != "Z":
        time.sleep(0.01)
    engine.compute(frame, 0)
    assert worker_of(engine) != first


def test_a_worker_that_another_ends_leaves_no_record(frame, tmp_path: Path) -> None:
    engine, store = make_engine(settings(arguments={"sleep_s": 30})), LabelStore(tmp_path)

    def end_it() -> None:
        while process_of(engine) is None:
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(worker_of(engine), signal.SIGKILL)

    killer = threading.Thread(target=end_it)
    killer.start()
    with pytest.raises(EngineError, match="ended from outside"):
        label_frame(frame, engine, store, 30.0)
    killer.join()
    assert not list(store.records())
    quick = make_engine(settings())
    assert label_frame(frame, quick, store, 30.0).label is not None


def test_its_processor_time_is_counted_once(frame) -> None:
    engine = make_engine(settings(arguments={"busy_s": 0.3}))
    began = core_seconds()
    engine.compute(frame, 0)
    used = core_seconds() - began
    # The start of the worker is processor time too.
    assert used > 0.25
    worker = process_of(engine)
    assert worker is not None
    worker._end()
    after = core_seconds() - began
    assert used - 0.05 < after < used + 0.5


def test_the_record_says_what_the_worker_used(frame, tmp_path: Path) -> None:
    store = LabelStore(tmp_path)
    engine = make_engine(settings(arguments={"busy_s": 0.3}))
    label_frame(frame, engine, store, 30.0)
    (record,) = store.records()
    assert record.core_s > 0.25
    assert json.loads(record.settings)["arguments"] == {"busy_s": 0.3}


def test_a_process_that_never_says_a_word_is_ended() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    worker = WorkerProcess(command, dict(os.environ), PICKLES, "mute")
    with pytest.raises(EngineError, match=r"mute: had not started after 0\.2 s"):
        worker.greet(time_limit_s=0.2)
    assert not worker.alive


def test_time_of_workers_that_ended_stays(frame, tblite_settings) -> None:
    engine = make_engine(tblite_settings())
    engine.compute(frame, 0)
    before_s = engine.core_seconds()
    assert before_s > 0
    os.kill(engine._worker.number, signal.SIGKILL)
    engine._worker._process.wait()
    engine.compute(frame, 0)
    assert engine.core_seconds() > before_s


def test_the_charge_is_checked_with_the_first_label_that_is_quick(frame, monkeypatch) -> None:
    class Blind:
        name, version, settings_json, attempts = "blind", "0", "{}", ()

        def settings_of(self, numbers):
            return self.settings_json

        def compute(self, frame, attempt):
            return Label(-1.0, np.zeros((len(frame), 3)))

    engine = ChargeCheckedEngine(Blind())
    monkeypatch.setattr("defectscape.engines.charge_check.LONGEST_S", -1.0)
    engine.compute(frame, 0)
    monkeypatch.setattr("defectscape.engines.charge_check.LONGEST_S", 30.0)
    with pytest.raises(EngineError, match="the same energy"):
        engine.compute(frame, 0)


# Programs: no shell, no time beyond the limit, no process and no folder left behind.


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
