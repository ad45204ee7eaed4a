"""The digest of a run: everything that its outcome depends on, but for rounding.

It decides whether a stored outcome still holds, so it is written in the words that the first outcomes were
stored under, whatever the classes and settings are called now: hours of training hang on them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic_core import to_json

from benchmarks.learning.runs import ModelRun
from defectscape.domain.label import LabelledFrame
from defectscape.settings.training import TrainingSettings

VERSION = 1
"""Raise it when the code changes the outcome of a run."""
SETTINGS = (
    "strategy",
    "committee",
    "channels",
    "max_L",
    "max_ell",
    "correlation",
    "r_max_A",
    "layers",
    "charge_embedding_dim",
    "charge_embedding",
    "foundation",
    "steps",
    "pretrain_steps",
    "finetune_rate",
    "batch_size",
    "learning_rate",
    "ema_decay",
    "energy_weight",
    "forces_weight",
    "high_weight",
    "validate_every",
    "patience",
    "dtype",
    "warm_start",
)
"""Settings of a training in the order of the first outcomes."""


def run_digest(
    run: ModelRun,
    settings: TrainingSettings,
    train: Sequence[LabelledFrame],
    valid: Sequence[LabelledFrame],
    seed: int,
) -> str:
    """Hash of a run, its settings, data (true charges) and seed: 64 hex digits."""
    inputs = hashlib.sha256()
    inputs.update(f"{_settings_text(run, settings)}\x1f{seed}".encode())
    if settings.foundation is not None:
        inputs.update(hashlib.sha256(Path(settings.foundation).read_bytes()).digest())
    for part in (train, valid):
        inputs.update(f"\x1e{len(part)}".encode())
        for item in sorted(part, key=_order):
            _add(inputs, item)
    # The class was called so when the first outcomes were stored.
    name = f"Arm{str(run).removeprefix(type(run).__name__)}"
    return hashlib.sha256(f"{inputs.hexdigest()}\x1f{name}\x1f{VERSION}".encode()).hexdigest()


def _settings_text(run: ModelRun, settings: TrainingSettings) -> str:
    """Settings as JSON; one that came later counts only where it is not its default."""
    values = settings.model_dump(mode="json", exclude={"device"})
    values["charge_embedding"] = run.charge_embedding
    text = to_json({name: values[name] for name in SETTINGS}).decode()
    changed = settings.model_dump(mode="json", exclude={"device"}, exclude_defaults=True)
    later = {name: value for name, value in sorted(changed.items()) if name not in SETTINGS}
    return text + (to_json(later).decode() if later else "")


def _order(item: LabelledFrame) -> tuple[str, str, str]:
    return item.fidelity, str(item.frame.key), item.frame.frame_id


def _add(inputs: "hashlib._Hash", item: LabelledFrame) -> None:
    frame, label = item.frame, item.label
    inputs.update(f"\x1f{item.fidelity}\x1f{frame.key}\x1f{len(frame)}".encode())
    energy_eV = np.float64(label.energy_eV)
    for array in (
        frame.numbers,
        frame.positions_A,
        frame.cell_A,
        energy_eV,
        label.forces_eV_A,
    ):
        inputs.update(array.tobytes())
