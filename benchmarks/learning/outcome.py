"""What is kept of a run, and where: one row of a packed file, which has the digest of all it depends on.

Days of training must survive a stop, like labels do. So the file is committed with the project, and a run is
trained again only if its data, settings or seed change. The file is compressed rows of JSON: a row is replaced or
added at a time, and the file is never half written.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.learning.runs import ModelRun
from defectscape.files.codec import decode, encode
from defectscape.files.text import read_text, write_text

RUNS = "runs.jsonl.xz"
"""Name of the file in the folder of a benchmark's outcomes."""


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


@dataclass(frozen=True)
class SetError:
    """Errors on one set of held-out high-fidelity frames.

    Attributes:
        charge: e, or None for all charges together.
        frames: how many.
        energy_rmse_meV_atom: nothing removed.
        energy_centred_rmse_meV_atom: the mean error of each charge removed.
        force_rmse_meV_A: per Cartesian component.
    """

    charge: int | None
    frames: int
    energy_rmse_meV_atom: float
    energy_centred_rmse_meV_atom: float
    force_rmse_meV_A: float


@dataclass(frozen=True)
class RunOutcome:
    """A trained run.

    Attributes:
        run: which.
        digest: hash of all it depends on.
        train_low, train_high, valid_high: frames it saw.
        errors: on held-out families, all charges first.
        near: the same, of frames within ``NEAR_EV_ATOM`` of the lowest of their charge; None if
            there are fewer than two.
        train_error: on its own high-fidelity training frames.
        steps: optimiser steps of all phases.
        stop_reason: of the last phase.
        core_s: processor time of the training, s.
        trained_on: device and version of torch, which change the outcome by rounding only.
        frames: per held-out frame: key, atoms, label and model energy (eV).
    """

    run: ModelRun
    digest: str
    train_low: int
    train_high: int
    valid_high: int
    errors: tuple[SetError, ...]
    near: SetError | None
    train_error: SetError
    steps: int
    stop_reason: str
    core_s: float
    trained_on: str
    frames: tuple[tuple[str, int, float, float], ...]


def read_outcomes(folder: Path) -> dict[str, RunOutcome]:
    """The outcomes of a benchmark's folder by the names of their runs."""
    found = [decode(RunOutcome, {**row, "run": _run_of(row)}) for row in read_rows(folder / RUNS)]
    return {outcome.run.name: outcome for outcome in found}


def keep_outcome(folder: Path, outcome: RunOutcome) -> None:
    """Write an outcome in the place of the one that its run had."""
    put_row(folder / RUNS, outcome, _run_of)


def _run_of(row: Any) -> Any:
    # The first rows were kept before there were priors.
    return {"prior": "", **row["run"]}
