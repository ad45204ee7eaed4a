"""The journal: one line for each engine call that was really made.

The records say what is known; the journal says what it cost to know it, also where a calculation
was repeated, took several attempts or was killed after it. Each process appends to a file of its own, so
no two writers share one, on a network file system either.
"""

import json
import logging
import os
import platform
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from defectscape.domain.errors import StoreError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """One engine call; every attempt is one.

    Attributes:
        key: the label's key.
        engine: the engine's name.
        defect: our name of the defect.
        charge: total charge, units of e.
        status: ``ok`` or ``failed``.
        rung: index of the engine's attempt, from 0.
        core_s: processor time, s.
        timestamp: when it ended, ISO 8601, UTC.
    """

    key: str
    engine: str
    defect: str
    charge: int
    status: Literal["ok", "failed"]
    rung: int
    core_s: float
    timestamp: str


_NAMES = {field.name for field in fields(Call)}


def append_call(folder: Path, call: Call) -> None:
    """Append a call to this process's file in ``folder``, flushed to disk.

    Raises:
        StoreError: if it cannot be written.
    """
    host = re.sub(r"[^A-Za-z0-9._-]", "_", platform.node()) or "host"
    path = folder / f"{host}-{os.getpid()}.jsonl"
    line = json.dumps(asdict(call), sort_keys=True, allow_nan=False).encode() + b"\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            # An earlier process of the same id may have been killed within its last line.
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line
            if os.write(handle, line) != len(line):
                raise OSError("the disk is full")
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise StoreError(
            f"journal {path}", error.strerror or error, "Make the label store writable, with room"
        ) from error


def read_calls(folder: Path) -> list[Call]:
    """All calls of all processes, by time; a line that was cut short is left out with a warning.

    Raises:
        StoreError: if a file cannot be read.
    """
    calls = []
    for path in sorted(folder.glob("*.jsonl")):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise StoreError(f"journal {path}", error.strerror or error, "Make it readable") from error
        for number, line in enumerate(lines, start=1):
            call = _parse(line)
            if call is not None:
                calls.append(call)
            elif line.strip():
                logger.warning("journal %s, line %d: cut short, left out", path, number)
    return sorted(calls, key=lambda call: call.timestamp)


def _parse(line: str) -> Call | None:
    try:
        data = json.loads(line)
    except ValueError:
        return None
    if not isinstance(data, dict) or set(data) != _NAMES:
        return None
    return Call(**data)
