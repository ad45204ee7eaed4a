"""Labelling: nothing is computed twice, nothing that failed is used, nothing is lost."""

import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from defectscape.domain.errors import EngineError, StoreError
from defectscape.domain.label import Label
from defectscape.engines import labelling
from defectscape.engines.base import CalculationFailed, ScfAttempt
from defectscape.engines.labelling import label_frame, label_frames
from defectscape.engines.registry import make_engine
from defectscape.engines.tblite import TbliteEngine
from defectscape.store.labels import LabelStore, label_key
from defectscape.store.record import LARGE_FORCE

LIMIT = 30.0


class FaultyEngine:
    """Gives the next of its answers at each call; an answer that is an error is raised."""

    name, version, settings_json = "faulty", "0", "{}"
    attempts = (ScfAttempt("first", ""), ScfAttempt("second", ""))

    def __init__(self, *answers):
        self.answers = list(answers)
        self.tried = []

    def settings_of(self, numbers):
        return self.settings_json

    def compute(self, frame, attempt):
        self.tried.append(attempt)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer


def _label(energy_eV=-1.0, force=0.1, atoms=8, **levels):
    return Label(energy_eV, np.full((atoms, 3), force), **levels)


@pytest.fixture
def store(tmp_path):
    return LabelStore(tmp_path / "labels")


@pytest.fixture
def frame(crystal, frame_of):
    return frame_of(crystal("CdTe"))


def test_nothing_is_computed_twice(store, crystal, frame_of, tblite_settings):
    engine = TbliteEngine(tblite_settings())
    frames = [frame_of(crystal("CdTe", rattles=((0.05, k),)), q) for k in (0, 1) for q in (0, 1)]
    first = label_frames([*frames, frames[0]], engine, store, LIMIT, "low")
    assert len(store.calls()) == 4
    again = label_frames(frames, TbliteEngine(tblite_settings()), LabelStore(store.root), LIMIT, "low")
    assert len(store.calls()) == 4
    for a, b in zip(first, again, strict=False):
        assert a.label.energy_eV == b.label.energy_eV
        assert a.label.forces_eV_A.tobytes() == b.label.forces_eV_A.tobytes()
    label_frame(frames[0], TbliteEngine(tblite_settings("IPEA1-xTB")), store, LIMIT)
    calls = store.calls()
    assert [c.engine for c in calls] == ["tblite/GFN1-xTB"] * 4 + ["tblite/IPEA1-xTB"]
    assert {(c.defect, c.charge, c.status, c.rung) for c in calls} == {
        ("v_Cd", 0, "ok", 0),
        ("v_Cd", 1, "ok", 0),
    }
    record = first[0]
    (call,) = [call for call in calls if call.key == record.key]
    assert record.core_s >= call.core_s > 0
    assert record.wall_s > 0
    assert record.engine_version.startswith("tblite 0.")
    assert record.timestamp.endswith("+00:00")


def test_the_caller_gets_its_own_frame_back(store, crystal, frame_of):
    mine = frame_of(crystal("CdTe"), family="v_Cd/mine")
    label_frame(frame_of(crystal("CdTe"), family="v_Cd/first"), FaultyEngine(_label()), store, LIMIT)
    record = label_frame(mine, FaultyEngine(), store, LIMIT)
    assert record.frame is mine
    assert store.get(record.key).frame.family == "v_Cd/first"


def test_attempts_that_all_fail_are_a_record(store, frame, tblite_settings):
    engine = TbliteEngine(tblite_settings(max_iterations=1))
    record = label_frame(frame, engine, store, LIMIT)
    assert record.label is None
    assert not record.trainable
    assert record.failure.startswith("configured: SCF not converged in 1 cycles; damped: SCF")
    assert [(c.rung, c.status) for c in store.calls()] == [(attempt, "failed") for attempt in range(3)]
    assert label_frame(frame, engine, store, LIMIT).failure == record.failure
    assert len(store.calls()) == 3
    # The same physics with more cycles is the same label: it is asked for, not assumed.
    patient = TbliteEngine(tblite_settings())
    assert label_frame(frame, patient, store, LIMIT).label is None
    store.failure_path(record.key).unlink()  # as `labels --remove-failures` does
    assert label_frame(frame, patient, store, LIMIT).trainable
    assert len(store.calls()) == 4
    assert label_frame(frame, engine, store, LIMIT).trainable
    assert len(store.calls()) == 4


def test_no_attempt_is_made_after_one_that_succeeds(store, frame):
    engine = FaultyEngine(CalculationFailed("no\nway"), _label())
    record = label_frame(frame, engine, store, LIMIT)
    assert (record.rung, engine.tried, record.trainable) == (1, [0, 1], True)
    assert [(c.rung, c.status) for c in store.calls()] == [(0, "failed"), (1, "ok")]


def test_no_attempt_is_made_after_a_hopeless_failure(store, frame):
    engine = FaultyEngine(CalculationFailed("too close", hopeless=True))
    assert label_frame(frame, engine, store, LIMIT).failure == "first: too close"
    assert engine.tried == [0]


NOT_LABELS = [
    (lambda: _label(float("nan")), "energy"),
    (lambda: _label(force=float("nan")), "forces"),
    (lambda: _label(force=float("inf")), "forces"),
    (lambda: _label(vbm_eV=float("nan")), "vbm_eV"),
    (lambda: _label(atoms=7), "7, 3"),
]


@pytest.mark.parametrize(("answer", "reason"), NOT_LABELS)
def test_a_label_that_is_not_finite_is_a_recorded_failure(store, frame, answer, reason):
    record = label_frame(frame, FaultyEngine(answer, answer), store, LIMIT)
    assert record.label is None
    assert reason in record.failure
    assert store.get(record.key).failure == record.failure
    assert len(store.calls()) == 2


def test_large_forces_are_kept_and_flagged_by_the_caller_s_limit(store, frame):
    record = label_frame(frame, FaultyEngine(_label(force=10.0)), store, max_force_eV_A=17.0)
    assert record.flags == (LARGE_FORCE,)
    assert not record.trainable
    assert store.get(record.key).flags == (LARGE_FORCE,)
    assert label_frame(frame, FaultyEngine(), store, max_force_eV_A=17.4).trainable
    assert not label_frame(frame, FaultyEngine(), store, max_force_eV_A=17.3).trainable


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, EngineError("a", "b", "c")])
def test_what_is_no_failed_calculation_ends_the_work(store, frame, error):
    with pytest.raises(error if isinstance(error, type) else EngineError):
        label_frame(frame, FaultyEngine(error if not isinstance(error, type) else error()), store, LIMIT)
    assert list(store.records()) == []


def test_a_damaged_record_is_not_silently_replaced(store, frame):
    key = label_frame(frame, FaultyEngine(_label()), store, LIMIT).key
    store.path(key).write_text("")
    with pytest.raises(StoreError, match="remove-damaged"):
        label_frame(frame, FaultyEngine(_label()), store, LIMIT)


def test_progress_counts_and_estimates_from_computed_labels_only(store, crystal, frame_of, caplog, monkeypatch):
    monkeypatch.setattr(labelling, "REPORT_EVERY_S", 0.0)
    monkeypatch.setattr(labelling, "_own_order", range)
    frames = [frame_of(crystal("CdTe", rattles=((0.05, seed),))) for seed in range(4)]
    label_frames(frames[:1], FaultyEngine(_label()), store, LIMIT, "low")

    def slow():
        time.sleep(0.6)
        return _label()

    failed = CalculationFailed("no", hopeless=True)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        label_frames(frames, FaultyEngine(slow, failed, slow), store, LIMIT, "low")
    lines = [m for m in caplog.messages if m.startswith("low ")]
    assert lines[0] == "low 1/4 labels, 1 from store, 0 failed, some time left"
    assert lines[1] == "low 2/4 labels, 1 from store, 0 failed, 1 s left"
    assert lines[2].startswith("low 3/4 labels, 1 from store, 1 failed, ")
    assert lines[3].startswith("low 4/4 labels, 1 from store, 1 failed")


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from ase.build import bulk
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import HOST_KEY
from defectscape.engines.labelling import label_frames
from defectscape.engines.tblite import TbliteEngine
from defectscape.settings.engine import TbliteSettings
from defectscape.store.labels import LabelStore
frames = []
for seed in range(200):
    atoms = bulk("Si", a=5.43)
    atoms.rattle(0.05, seed=seed)
    frames.append(Frame(atoms.numbers, atoms.positions, atoms.cell.array, HOST_KEY, 1, Origin.HOST, "h"))
engine = TbliteEngine(TbliteSettings(kind="tblite", method="GFN1-xTB"))
records = label_frames(frames[:int(sys.argv[2])], engine, LabelStore(Path(sys.argv[1])), 30.0, "low")
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_keeps_its_labels_and_goes_on(tmp_path, sent):
    root = tmp_path / "labels"
    run = subprocess.Popen([sys.executable, "-c", KILLED, str(root), "40"])
    deadline = time.monotonic() + 60
    while len(list(root.rglob("*.json"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(run.pid, sent)
    assert run.wait() == -sent
    store = LabelStore(root)
    assert store.damaged() == []
    done = {record.key for record in store.records()}
    called = {call.key for call in store.calls()}
    assert len(done) >= 3
    assert done <= called
    assert len(called - done) <= 1
    subprocess.run([sys.executable, "-c", KILLED, str(root), "40"], check=True)
    assert len(list(store.records())) == 40
    assert len(store.calls()) <= 41


def test_records_come_in_the_order_of_the_frames(store, crystal, frame_of):
    frames = [frame_of(crystal("CdTe", rattles=((0.05, seed),))) for seed in range(12)]
    answers = [_label() for _ in frames]
    records = label_frames(frames, FaultyEngine(*answers), store, LIMIT, "low")
    assert [record.frame.frame_id for record in records] == [frame.frame_id for frame in frames]
    orders = {tuple(labelling._own_order(12)) for _ in range(3)}
    assert len(orders) == 1  # of the process, not of the call
    assert sorted(next(iter(orders))) == list(range(12))


def test_the_registry_makes_engines_and_names_what_is_missing(tblite_settings, monkeypatch):
    engine = make_engine(tblite_settings())
    assert engine.name == "tblite/GFN1-xTB"
    monkeypatch.delitem(sys.modules, "defectscape.engines.tblite")
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    with pytest.raises(EngineError, match="pip install tblite"):
        make_engine(tblite_settings())


def test_label_key_of_the_record_is_the_store_s(store, frame):
    record = label_frame(frame, FaultyEngine(_label()), store, LIMIT)
    assert record.key == label_key(frame, "faulty", "{}")


def test_a_version_that_comes_with_the_answer_is_kept(store, frame):
    class Late(FaultyEngine):
        version = "unknown"

        def compute(self, frame, attempt):
            self.version = "program 1.2"
            return super().compute(frame, attempt)

    (record,) = label_frames([frame], Late(_label()), store, LIMIT, "low")
    assert record.engine_version == "program 1.2"
