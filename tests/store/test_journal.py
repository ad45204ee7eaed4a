"""The journal counts every call, and a line that was cut short costs only itself."""

import logging
import multiprocessing

import pytest

from defectscape.domain.errors import StoreError
from defectscape.store.journal import Call
from defectscape.store.labels import LabelStore

FORK = multiprocessing.get_context("fork")


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
