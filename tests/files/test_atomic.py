"""A file is the old one or the whole new one, whatever fails while it is written."""

import errno
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from defectscape.files.atomic import replacing, write_bytes
from defectscape.files.text import read_text, write_text


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _full(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _write(path: Path, fault: str) -> None:
    with replacing(path) as stream:
        stream.write(b"new")
        if fault == "block":
            _full()
        if fault == "interrupt":
            raise KeyboardInterrupt


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("fault", ["block", "flush", "rename", "interrupt"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None, fault: str
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    if fault == "flush":
        monkeypatch.setattr(os, "fsync", _full)
    if fault == "rename":
        monkeypatch.setattr(Path, "replace", _full)
    expected = KeyboardInterrupt if fault == "interrupt" else OSError
    with pytest.raises(expected):
        _write(path, fault)
    assert _names(tmp_path) == ([] if before is None else ["file"])
    assert before is None or path.read_bytes() == before


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    write_bytes(path, b"old")
    with replacing(path) as stream:
        stream.write(b"new" * 10**6)
        stream.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" * 10**6


def test_content_and_folder_are_flushed_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed, flush = [], os.fsync

    def note(handle: int) -> None:
        flushed.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "content")
        flush(handle)

    monkeypatch.setattr(os, "fsync", note)
    write_text(tmp_path / "file", "new")
    assert flushed == ["content", "folder"]


def test_a_file_is_as_open_to_others_as_the_user_wants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def _write_often(path: Path, letter: str) -> None:
    for _ in range(50):
        write_text(path, letter * 10**5)


def test_a_reader_beside_several_writers_sees_whole_files_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "0" * 10**5)
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write_often, args=(path, letter)) for letter in "abc"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        text = read_text(path)
        assert len(text) == 10**5
        assert len(set(text)) == 1
    assert [writer.exitcode for writer in writers] == [0] * 3
    assert _names(tmp_path) == ["file"]
