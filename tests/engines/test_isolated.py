"""Engines in a process of their own: the same labels, and a death that costs one label."""

import json
import os
import signal
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
from defectscape.engines.registry import make_engine, make_local_engine
from defectscape.engines.worker_process import PICKLES, WorkerProcess
from defectscape.settings.ase_calculator import AseSettings
from defectscape.store.labels import LabelStore


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
