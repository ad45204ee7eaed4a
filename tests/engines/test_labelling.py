"""Labelling: attempts at a frame, labels that are not computed twice, and keys that stay what they were."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from defectscape.domain.errors import EngineError, LabelError, StoreError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.engines import labelling
from defectscape.engines.attempts import Attempted, try_attempts
from defectscape.engines.base import CalculationFailed, ScfAttempt
from defectscape.engines.labelling import label_frame, label_frames
from defectscape.engines.registry import make_engine, make_local_engine
from defectscape.engines.tblite import TbliteEngine
from defectscape.engines.vasp_output import read_run
from defectscape.files.extxyz import read_labelled
from defectscape.settings.engine import EngineSettings
from defectscape.store.labels import LabelStore, label_key
from defectscape.store.record import LARGE_FORCE
from support import ROOT

# Labelling: nothing is computed twice, nothing that failed is used, nothing is lost.


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
    monkeypatch.setattr(labelling, "own_order", range)
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
    orders = {tuple(labelling.own_order(12)) for _ in range(3)}
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


# Attempts: in order, as many as needed, and what is no failed calculation ends the work.


class ThreeAttempts:
    name, version, settings_json = "three", "0", "{}"
    attempts = tuple(ScfAttempt(name, "") for name in ("first", "second", "third"))


@pytest.fixture
def made(crystal, frame_of):
    """The outcome of three attempts that give these answers, and the indices of those that were made."""
    frame = frame_of(crystal("CdTe"))

    def make(*answers):
        indices = []

        def call(structure, index):
            assert structure is frame
            indices.append(index)
            if isinstance(answers[index], Exception):
                raise answers[index]
            return answers[index]

        return try_attempts(ThreeAttempts(), frame, call), indices

    return make


def test_the_first_success_ends_them(made):
    assert made("a", "b", "c") == (Attempted("a", None, 0), [0])
    assert made(CalculationFailed("no"), "b", "c") == (Attempted("b", None, 1), [0, 1])


def test_all_reasons_are_told(made):
    nonsense = LabelError("label of x", "nan", "It is not used")
    outcome, indices = made(CalculationFailed("no"), nonsense, CalculationFailed("never"))
    assert outcome.result is None
    assert outcome.failure == f"first: no; second: {nonsense}; third: never"
    assert (outcome.last, indices) == (2, [0, 1, 2])


def test_a_hopeless_failure_ends_them(made):
    outcome, indices = made(CalculationFailed("no"), CalculationFailed("lost", hopeless=True), "c")
    assert (outcome.failure, indices) == ("first: no; second: lost", [0, 1])


def test_what_is_no_failed_calculation_ends_the_attempts(made):
    with pytest.raises(EngineError):
        made(CalculationFailed("no"), EngineError("a", "b", "c"), "c")


# Label keys are what they were: whatever is renamed, every label that exists is found again.
#
# The expected values were computed with the code of commit c3ba067, before the engines' classes and terms were
# renamed. A test that fails here means that stores and data sets lose their labels: mend the code, not the numbers.


PW: dict[str, Any] = {
    "kind": "espresso",
    "functional": "pbe",
    "command": "pw.x",
    "pseudo_dir": "nowhere",
    "pseudopotentials": {"Sb": "Sb.q5.gth", "Se": "Se.q6.gth"},
    "pseudo_sha256": {
        "Sb": "ed9aa7fc5865e914a4b4a6e93ad873832ae01878a84d4175a070cc730aaef1b5",
        "Se": "bd385b6825b7d03b525f353468c1f7852084b5be54e24149db2128b727ec6c4b",
    },
    "cutoff_Ry": 32.0,
    "kpoints": [1, 1, 1],
    "convergence_Ry": 1e-6,
}
DATA_SETS: dict[str, dict[str, Any]] = {
    "cdte_xtb/gfn1": {"kind": "tblite", "method": "GFN1-xTB"},
    "cdte_xtb/ipea1": {"kind": "tblite", "method": "IPEA1-xTB"},
    "sb2se3/pbe": PW,
    "sb2se3/hse06": PW | {"functional": "hse06", "convergence_Ry": 1e-5},
}


def engine_of(settings: dict[str, Any]):
    return make_local_engine(TypeAdapter(EngineSettings).validate_python(settings))


def keys_of(name: str) -> list[str]:
    engine = engine_of(DATA_SETS[name])
    path = ROOT / f"data/{name}.extxyz.xz"
    frames = [item.frame for item in read_labelled(path, name.partition("/")[2])]
    return [label_key(frame, engine.name, engine.settings_of(frame.numbers)) for frame in frames]


KEYS = {
    "cdte_xtb/gfn1": (
        "e38a84b208c8c880f81cd5dcd462157e9cc9b9a35d0a65438136faa2b69bcf2a",
        "dc36cd24592058cead485a7908b09178b5262a51919d642435156efb7045074c",
    ),
    "cdte_xtb/ipea1": (
        "b6745f0740e3aad73540fe6b11323e64f920816fb13b849afa1cc791fc515ed2",
        "0221103c54c0178e8cf6f9cf1786ef9e8a8b3dcbba422931c4946f9fd7a729fc",
    ),
    "sb2se3/pbe": (
        "9fe7f0bcdc5139d7e95880d08213513d3235037d0a395665bd3ed8e954fb4617",
        "61e4f4cc122ebdab44ffdb357911fbffeadb2f62874261863a61235a2694cf60",
    ),
    "sb2se3/hse06": (
        "6edee797c1d5e15627770a37ce38aa52a489d9245b40693684f01cbc4564615d",
        "e7fde27de3544ea8fa3433470cb934368b2d1631a27ba66454f44e9e6c716042",
    ),
}
"""The first frame's key, and the hash of all keys of the data set in order of the alphabet."""


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_labels_of_a_data_set_keep_their_keys(name: str) -> None:
    keys = keys_of(name)
    together = hashlib.sha256("".join(sorted(keys)).encode()).hexdigest()
    assert (keys[0], together) == KEYS[name]


OTHERS: dict[str, dict[str, Any]] = {
    "vasp": {
        "kind": "vasp",
        "functional": "hse06",
        "command": "vasp_gam",
        "potcar_dir": "nowhere",
        "potcars": {"Cd": "Cd", "Te": "Te"},
        "cutoff_eV": 450.0,
        "kpoints": [1, 1, 1],
        "potcar_titles": {"Cd": "PAW_PBE Cd 06Sep2000", "Te": "PAW_PBE Te 08Apr2002"},
        "exx_fraction": 0.345,
        "screening_1_A": 0.2,
        "incar": {"LREAL": False, "ADDGRID": True},
    },
    "ase": {
        "kind": "ase",
        "calculator": "ase.calculators.cp2k.CP2K",
        "method": "PBE",
        "folder": "directory",
        "arguments": {"xc": "PBE", "cutoff": 6000, "uks": True},
        "charge": "charge",
        "multiplicity": "multiplicity",
        "failed_if": {"cp2k.out": "SCF run NOT converged"},
        "ladder": [{"max_scf": 200}],
        "revision": "CP2K 2023.1",
    },
}


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("vasp", "032886ef2ffd7450e539fc79e33eb84e371555f9740d7c2289a352bcb841954d"),
        ("ase", "28774819a95d4a2207b46c598f1f3241ab253f6f25d6dfe51b8475972baf1f29"),
    ],
)
def test_labels_of_other_engines_keep_their_keys(kind: str, key: str) -> None:
    run = read_run(ROOT / "tests/data/vasp/cdte_Cd_i_C3v_0/vasprun.xml.gz")
    step = run.steps[0]
    frame = Frame(run.numbers, step.positions_A, step.cell_A, DefectKey("i_Cd_3", 0), 1, Origin.START, "x")
    engine = engine_of(OTHERS[kind])
    assert label_key(frame, engine.name, engine.settings_of(frame.numbers)) == key
