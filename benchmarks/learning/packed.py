"""Rows of JSON in one compressed file: a row is replaced or added at a time, and the file is never half written."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from defectscape.files.codec import encode
from defectscape.files.text import read_text, write_text


def read_rows(path: Path) -> list[Any]:
    """Every row as plain data, in the file's order; none if there is no such file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in read_text(path).splitlines()]


def put_row(path: Path, row: object, key: Callable[[Any], Any]) -> None:
    """Write a row in the place of the one with the same key, or at the end.

    Args:
        path: ``.jsonl.xz`` file; jobs on one machine may write to it at the same time.
        row: a dataclass or plain data.
        key: what tells rows apart.
    """
    new = encode(row)
    with _alone(path.parent):
        rows = read_rows(path)
        keys = [key(known) for known in rows]
        if key(new) in keys:
            rows[keys.index(key(new))] = new
        else:
            rows.append(new)
        lines = [json.dumps(each, separators=(",", ":"), allow_nan=False) + "\n" for each in rows]
        write_text(path, "".join(lines))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process writes in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
