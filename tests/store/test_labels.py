"""The label store and the journal of engine calls."""

import dataclasses
import errno
import json
import logging
import multiprocessing
import os
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.errors import StoreError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.store.journal import Call
from defectscape.store.labels import LabelStore, label_key
from defectscape.store.record import LabelRecord

# The store: nothing is lost, nothing damaged is used, any number of writers may write at once.


SETTINGS = "{}"
FORK = multiprocessing.get_context("fork")


def _frame(seed=0, charge=0, multiplicity=1, defect="v_Cd", **changes):
    rng = np.random.default_rng(seed)
    frame = Frame(
        np.array([48, 52]),
        rng.normal(size=(2, 3)),
        np.eye(3) * 6.0,
        DefectKey(defect, charge),
        multiplicity,
        Origin.START,
        "v_Cd/x",
    )
    return dataclasses.replace(frame, **changes)


def _record(seed=0, energy_eV=-1.5, failure=None, atoms=2):
    frame = _frame(seed)
    label = Label(energy_eV, np.full((atoms, 3), 0.25)) if failure is None else None
    return LabelRecord(
        label_key(frame, "e", SETTINGS),
        frame,
        "e",
        SETTINGS,
        "1",
        label,
        failure,
        (),
        0,
        1.0,
        1.0,
        "node",
        "2026-01-01T00:00:00+00:00",
    )


def _all_files(root):
    return sorted(p.name for p in Path(root).rglob("*") if p.is_file())


def test_key_is_of_what_is_computed_and_nothing_else():
    key = label_key(_frame(), "e", SETTINGS)
    same = [
        _frame(defect="Te_Cd"),
        _frame(origin=Origin.MD),
        _frame(family="other"),
        _frame(note="x"),
        _frame(parent="abc"),
    ]
    moved = _frame().positions_A + np.array([[2e-5, 0, 0], [0, 0, 0]])
    other = [
        _frame(charge=1),
        _frame(multiplicity=3),
        _frame(1),
        _frame(positions_A=moved),
        _frame(cell_A=np.eye(3) * 6.0001),
        _frame(numbers=np.array([48, 48])),
    ]
    assert {label_key(frame, "e", SETTINGS) for frame in same} == {key}
    keys = {label_key(frame, "e", SETTINGS) for frame in other} | {key}
    keys |= {label_key(_frame(), "f", SETTINGS), label_key(_frame(), "e", '{"a": 1}')}
    assert len(keys) == len(other) + 3


def test_what_is_put_is_found_and_nothing_else(tmp_path):
    store = LabelStore(tmp_path / "a" / "store")
    assert store.get(_record().key) is None
    assert list(store.records()) == []
    assert not store.root.exists()
    store.put(_record())
    assert store.get(_record().key).label.energy_eV == -1.5
    assert store.get(_record(1).key) is None
    assert store.path(_record().key).parent.name == _record().key[:2]
    assert _all_files(store.root) == sorted(["STORE.json", f"{_record().key}.json"])


def test_records_come_by_key_with_labels_before_failures(tmp_path):
    store = LabelStore(tmp_path)
    for seed in range(30):
        store.put(_record(seed, failure="SCF" if seed % 3 == 0 else None))
    store.put(_record(3))
    records = list(store.records())
    assert [r.key for r in records] == sorted(_record(seed).key for seed in range(30))
    assert sum(r.failure is not None for r in records) == 9


def test_a_failure_never_stands_before_a_label(tmp_path):
    store = LabelStore(tmp_path)
    store.put(_record(failure="first"))
    assert store.get(_record().key).failure == "first"
    store.put(_record(failure="second"))
    assert store.get(_record().key).failure == "second"
    store.put(_record())
    store.put(_record(failure="third"))
    assert store.get(_record().key).label.energy_eV == -1.5
    # A writer that looked before the label was there writes its failure after it.
    store.failure_path(_record().key).write_text(_record(failure="late").to_json())
    assert store.get(_record().key).failure is None
    assert [r.failure for r in store.records()] == [None]


def test_the_first_label_stays(tmp_path):
    store = LabelStore(tmp_path)
    store.put(_record(energy_eV=-1.0))
    store.put(_record(energy_eV=-2.0))
    assert store.get(_record().key).label.energy_eV == -1.0


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


def _empty(path):
    path.write_bytes(b"")


def _edit(path):
    path.write_text(path.read_text().replace("-1.5", "-1.6"))


def _garble(path):
    path.write_bytes(b"\xff\xfe" + os.urandom(64))


def _swap(path):
    path.write_text(_record(1).to_json())


def _wrong_ending(path):
    path.write_text(_record(failure="no label").to_json())


@pytest.mark.parametrize("harm", [_truncate, _empty, _edit, _garble, _swap, _wrong_ending])
def test_damage_is_refused_and_named_and_removable(tmp_path, harm):
    store = LabelStore(tmp_path)
    store.put(_record())
    store.put(_record(2))
    path = store.path(_record().key)
    harm(path)
    for read in (lambda: store.get(_record().key), lambda: list(store.records())):
        with pytest.raises(StoreError) as caught:
            read()
        message = str(caught.value)
        assert str(path) in message
        assert "defectscape labels --remove-damaged" in message
        assert "\n" not in message
    assert store.damaged() == [path]
    path.unlink()
    assert store.damaged() == []
    store.put(_record())
    assert len(list(store.records())) == 2


def test_a_frame_changed_behind_a_right_checksum_is_found(tmp_path):
    store = LabelStore(tmp_path)
    store.put(_record())
    other = dataclasses.replace(_record(), frame=_frame(7))
    store.path(_record().key).write_text(other.to_json())
    with pytest.raises(StoreError, match="another structure"):
        store.get(_record().key)
    with pytest.raises(StoreError, match="another structure"):
        store.put(other)


def test_leftovers_of_killed_writers_are_no_records(tmp_path):
    store = LabelStore(tmp_path)
    store.put(_record())
    folder = store.path(_record().key).parent
    (folder / ".node.1.abcd.tmp").write_text("half a rec")
    (folder / "notes.txt").write_text("x")
    assert len(list(store.records())) == 1
    assert store.damaged() == []


def test_an_unknown_store_format_is_refused(tmp_path):
    LabelStore(tmp_path).put(_record())
    (tmp_path / "STORE.json").write_text('{"format": 99}')
    store = LabelStore(tmp_path)
    for use in (
        lambda: store.get(_record().key),
        lambda: store.put(_record(1)),
        store.damaged,
        store.calls,
        lambda: list(store.records()),
    ):
        with pytest.raises(StoreError, match="format 99"):
            use()
    (tmp_path / "STORE.json").write_text("")
    with pytest.raises(StoreError, match=r"STORE\.json"):
        LabelStore(tmp_path).get(_record().key)


def test_a_file_in_the_store_s_place_is_named(tmp_path):
    (tmp_path / "store").write_text("not a folder")
    store = LabelStore(tmp_path / "store")
    for use in (lambda: store.get(_record().key), lambda: store.put(_record())):
        with pytest.raises(StoreError, match=str(tmp_path / "store")):
            use()


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path, monkeypatch):
    store = LabelStore(tmp_path)
    store.put(_record())

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        store.put(_record(1))
    assert str(tmp_path) in str(caught.value)
    monkeypatch.undo()
    assert _all_files(tmp_path) == sorted(["STORE.json", f"{_record().key}.json"])


def _use_read_only(root, answers):
    if os.geteuid() == 0:
        os.setuid(65534)  # root writes anywhere
    store = LabelStore(root)
    answers.put(store.get(_record().key) is not None)
    try:
        store.put(_record(1))
    except StoreError as error:
        answers.put(str(error))
    else:
        answers.put("it was written")


def test_a_read_only_store_can_be_read_and_says_why_not_written():
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        LabelStore(root).put(_record())
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        answers = FORK.Queue()
        reader = FORK.Process(target=_use_read_only, args=(root, answers))
        reader.start()
        found, message = answers.get(timeout=30), answers.get(timeout=30)
        reader.join()
        for folder in folders:
            folder.chmod(0o755)
    assert found
    assert "Permission denied" in message
    assert str(root) in message


def _write_many(root, worker, count):
    store = LabelStore(root)
    for seed in range(count):
        store.put(_record(seed, failure="SCF" if worker % 2 else None))
        store.put(_record(1000 * (worker + 1) + seed))


def test_eight_writers_of_the_same_and_of_different_keys(tmp_path):
    workers = [FORK.Process(target=_write_many, args=(tmp_path, w, 12)) for w in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 8
    store = LabelStore(tmp_path)
    assert store.damaged() == []
    records = list(store.records())
    assert len(records) == 12 + 8 * 12
    assert all(record.label is not None for record in records)
    assert not [name for name in _all_files(tmp_path) if name.endswith(".tmp")]


def _write_for_ever(root, start):
    store = LabelStore(root)
    seed = start
    while True:
        store.put(_record(seed))
        seed += 1


def test_killing_writers_leaves_a_readable_store(tmp_path):
    for attempt in range(6):
        worker = FORK.Process(target=_write_for_ever, args=(tmp_path, 10_000 * attempt))
        worker.start()
        expected = len(_all_files(tmp_path)) + 3
        deadline = time.monotonic() + 20
        while len(_all_files(tmp_path)) < expected and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(0.0013 * attempt)
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
    store = LabelStore(tmp_path)
    assert store.damaged() == []
    records = list(store.records())
    assert len(records) >= 6
    store.put(_record(5))
    assert store.get(_record(5).key) is not None
    assert json.loads((tmp_path / "STORE.json").read_text()) == {"format": 1}


# The journal counts every call, and a line that was cut short costs only itself.


def _call(number, status="ok"):
    return Call(f"{number:064d}", "e", "v_Cd", -2, status, 0, 0.1 + number, f"2026-01-01T{number:05d}")


def test_calls_come_back_in_time_order(tmp_path):
    store = LabelStore(tmp_path / "store")
    assert store.calls() == []
    for number in (3, 1, 2):
        store.log_call(_call(number, "failed" if number == 2 else "ok"))
    assert LabelStore(tmp_path / "store").calls() == [_call(1), _call(2, "failed"), _call(3)]


def _log(root, worker):
    store = LabelStore(root)
    for number in range(20):
        store.log_call(_call(100 * worker + number))


def test_processes_do_not_lose_each_other_s_lines(tmp_path):
    workers = [FORK.Process(target=_log, args=(tmp_path, worker)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expected = [_call(100 * worker + number) for worker in range(4) for number in range(20)]
    assert LabelStore(tmp_path).calls() == expected
    assert len(list((tmp_path / "journal").iterdir())) == 4


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_torn_last_line_is_left_out_with_a_warning(tmp_path, caplog, kept):
    store = LabelStore(tmp_path)
    store.log_call(_call(1))
    (path,) = (tmp_path / "journal").iterdir()
    whole = path.read_text()
    path.write_text(whole + whole.rstrip("\n")[:kept])
    with caplog.at_level(logging.WARNING):
        assert store.calls() == [_call(1)]
    assert path.name in caplog.text
    # A later process of the same number must not write onto the torn line.
    store.log_call(_call(2))
    assert store.calls() == [_call(1), _call(2)]


def test_a_journal_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "journal").write_text("in the way")
    with pytest.raises(StoreError, match="journal"):
        LabelStore(tmp_path).log_call(_call(1))
