"""What is kept of a run, and where: a small file named by everything the outcome depends on.

Days of training must survive a stop, like labels do. So a run's file has the hash of its data,
settings and seed as its name, is committed with the project, and is trained again only if one of
them changes.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.learning.runs import ModelRun
from defectscape.files.tables import decode, encode, read_json, write_json


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


def run_digest(inputs_digest: str, run: ModelRun, version: int) -> str:
    """Hash of what a run's outcome depends on: 64 hex digits."""
    return hashlib.sha256(f"{inputs_digest}\x1f{run}\x1f{version}".encode()).hexdigest()


def outcome_path(folder: Path, run: ModelRun) -> Path:
    """The run's file."""
    return folder / f"{run.name}.json"


def read_outcome(path: Path, digest: str | None = None) -> RunOutcome | None:
    """A run's outcome, or None if there is none, or none with this digest."""
    if not path.exists():
        return None
    outcome: RunOutcome = decode(RunOutcome, read_json(path))
    return outcome if digest in (None, outcome.digest) else None


def write_outcome(path: Path, outcome: RunOutcome) -> None:
    """Write it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, encode(outcome))
