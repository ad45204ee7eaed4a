"""Checkpoints of a training: tensors and plain values, tied to their settings and data."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import defectscape
from defectscape.domain.errors import ModelError
from defectscape.domain.label import LabelledFrame
from defectscape.model.backend import read_tensors, write_file
from defectscape.model.network import PRODUCT_BASIS
from defectscape.model.saving import weights_digest
from defectscape.settings.training import TrainingSettings

logger = logging.getLogger(__name__)


def training_digest(
    train: Sequence[LabelledFrame],
    valid: Sequence[LabelledFrame],
    settings: TrainingSettings,
    seed: int,
    start: torch.nn.Module | None,
) -> str:
    """Hash of everything a training depends on, to the last bit: 64 hex digits."""
    parts = [
        inputs_digest(train, valid, settings, seed, start),
        PRODUCT_BASIS,
        settings.device,
        defectscape.__version__,
        torch.__version__,
    ]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def inputs_digest(
    train: Sequence[LabelledFrame],
    valid: Sequence[LabelledFrame],
    settings: TrainingSettings,
    seed: int,
    start: torch.nn.Module | None,
) -> str:
    """Hash of data, settings and seed: what decides a training but for rounding; 64 hex digits."""
    digest = hashlib.sha256()
    heads = [settings.model_dump_json(exclude={"device"}), str(seed)]
    digest.update("\x1f".join(heads).encode())
    if start is not None:
        digest.update(weights_digest(start).encode())
    if settings.foundation is not None:
        digest.update(hashlib.sha256(Path(settings.foundation).read_bytes()).digest())
    for part in (train, valid):
        digest.update(f"\x1e{len(part)}".encode())
        for item in part:
            frame, label = item.frame, item.label
            digest.update(f"\x1f{item.fidelity}\x1f{frame.key}\x1f{len(frame)}".encode())
            for array in (
                frame.numbers,
                frame.positions_A,
                frame.cell_A,
                np.float64(label.energy_eV),
                label.forces_eV_A,
            ):
                digest.update(array.tobytes())
    return digest.hexdigest()


def write_checkpoint(path: Path, digest: str, state: dict[str, Any]) -> None:
    """Write a state (tensors, numbers, lists, dicts), whole or not at all."""
    write_file(path, {"digest": digest, "state": state})


def read_checkpoint(path: Path, digest: str) -> dict[str, Any] | None:
    """The state, or None where there is none that belongs to this training; nothing is executed."""
    if not path.exists():
        return None
    try:
        content = read_tensors(path)
    except ModelError as error:
        logger.warning("%s Starting from the beginning.", error)
        return None
    if not isinstance(content, dict) or content.get("digest") != digest:
        logger.warning("%s: of other settings or data. Starting from the beginning.", path)
        return None
    return content["state"]


def discard_checkpoint(path: Path) -> None:
    """Remove it if it is there."""
    path.unlink(missing_ok=True)
