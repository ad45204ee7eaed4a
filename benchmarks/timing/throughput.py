"""Training throughput of our loop against mace's own command, same network, batch, data and threads.

Both are run twice, for few and for many epochs, and the difference is what the epochs in between took:
imports, reading and neighbour lists fall out. Processor time is compared, not the clock: a machine
that does other work besides slows both, not always at the same moment. The repetitions alternate.
"""

import json
import logging
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np

from defectscape.domain.errors import ModelError
from defectscape.domain.label import LabelledFrame
from defectscape.engines.processor_time import core_seconds
from defectscape.engines.program import run_program
from defectscape.files.atoms import to_atoms
from defectscape.model.backend import find_device, numerics
from defectscape.model.phase import train_phase
from defectscape.model.preparation import Phase
from defectscape.settings.training import TrainingSettings

logger = logging.getLogger(__name__)

EPOCHS = (1, 4)
TIME_LIMIT_s = 7200.0


@dataclass(frozen=True)
class Throughput:
    """Frames trained on per core-second.

    Attributes:
        frames, atoms, batch_size: of the trial.
        dtype: of the networks.
        ours, mace: one value per repetition.
        ratio: median over repetitions of ours over mace's.
        parameters: of our network; mace's has the same architecture.
    """

    frames: int
    atoms: int
    batch_size: int
    dtype: str
    ours: tuple[float, ...]
    mace: tuple[float, ...]
    ratio: float
    parameters: int


def measure_throughput(
    data: Sequence[LabelledFrame],
    settings: TrainingSettings,
    repeats: int,
    epochs: tuple[int, int] = EPOCHS,
) -> Throughput:
    """Time both loops on frames of one fidelity.

    Args:
        data: the frames; a tenth validates. Cut to whole batches, since mace drops the last short one.
        settings: architecture and optimisation.
        repeats: repetitions, ours and mace's in turn.
        epochs: few and many. Those in between should take much longer than imports vary, some seconds.

    Raises:
        ModelError: the longer training took no more processor time than the short one.
    """
    held = max(2, len(data) // 10)
    count = (len(data) - held) // settings.batch_size * settings.batch_size
    train, valid = list(data[:count]), list(data[count : count + held])
    # One training before those that are timed: the first on a machine compiles.
    parameters = _ours(train, valid, settings, 1)[1]
    ours, theirs = [], []
    for repeat in range(repeats):
        ours.append(_rate(count, epochs, lambda n: _ours(train, valid, settings, n)[0]))
        theirs.append(_rate(count, epochs, lambda n: _mace(train, valid, settings, n)))
        logger.info("repetition %d: %.2f and %.2f frames/core-s", repeat, ours[-1], theirs[-1])
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return Throughput(
        count,
        len(train[0].frame),
        settings.batch_size,
        settings.dtype,
        tuple(ours),
        tuple(theirs),
        float(np.median(ratios)),
        parameters,
    )


def _rate(frames: int, epochs: tuple[int, int], run: Callable[[int], float]) -> float:
    """Frames per core-second between few and many epochs."""
    few, many = epochs
    short, long = run(few), run(many)
    if long <= short:
        raise ModelError(
            "throughput",
            f"{many} epochs took {long:.1f} core-s, {few} took {short:.1f}",
            "Give more frames: these epochs are lost in what imports and reading take",
        )
    return frames * (many - few) / (long - short)


def _ours(
    train: Sequence[LabelledFrame],
    valid: Sequence[LabelledFrame],
    settings: TrainingSettings,
    epochs: int,
) -> tuple[float, int]:
    steps = epochs * len(train) // settings.batch_size
    changes = {"steps": steps, "validate_every": steps, "patience": 99, "strategy": "high_only"}
    elements = tuple(sorted({int(z) for item in train for z in item.frame.numbers}))
    device = find_device(settings.device)
    phase = Phase(
        "throughput",
        train,
        valid,
        (train[0].fidelity,),
        elements,
        settings.model_copy(update=changes),
        1,
        0,
    )
    began = core_seconds()
    with numerics(settings.dtype, device):
        _, history = train_phase(phase, device, None)
    return core_seconds() - began, history.parameters


def _mace(
    train: Sequence[LabelledFrame],
    valid: Sequence[LabelledFrame],
    settings: TrainingSettings,
    epochs: int,
) -> float:
    charges = [item.frame.charge for item in (*train, *valid)]
    spec = {
        "type": "categorical",
        "per": "graph",
        "num_classes": max(charges) - min(charges) + 1,
        "offset": -min(charges),
        "emb_dim": settings.charge_embedding_dim,
    }
    elements = sorted({int(z) for item in train for z in item.frame.numbers})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, items in (("train", train), ("valid", valid)):
            ase.io.write(folder / f"{part}.xyz", [_atoms(item) for item in items], format="extxyz")
        words = {
            "name": "throughput",
            "seed": 1,
            "model": "ScaleShiftMACE",
            "work_dir": name,
            "train_file": folder / "train.xyz",
            "valid_file": folder / "valid.xyz",
            "E0s": str(dict.fromkeys(elements, 0.0)),
            "hidden_irreps": " + ".join(
                f"{settings.channels}x{order}{'eo'[order % 2]}" for order in range(settings.max_L + 1)
            ),
            "r_max": settings.r_max_A,
            "max_ell": settings.max_ell,
            "correlation": settings.correlation,
            "num_interactions": settings.layers,
            "interaction_first": "RealAgnosticResidualInteractionBlock",
            "embedding_specs": json.dumps({"total_charge": spec}),
            "total_charge_key": "total_charge",
            "energy_key": "REF_energy",
            "forces_key": "REF_forces",
            "loss": "weighted",
            "energy_weight": settings.energy_weight,
            "forces_weight": settings.forces_weight,
            "batch_size": settings.batch_size,
            "valid_batch_size": settings.batch_size,
            "lr": settings.learning_rate,
            "ema_decay": settings.ema_decay,
            "max_num_epochs": epochs,
            "eval_interval": 1000,
            "default_dtype": settings.dtype,
            "device": settings.device,
            "plot": "False",
            "error_table": "PerAtomRMSE",
        }
        arguments = [f"--{key}={value}" for key, value in words.items()]
        arguments += ["--amsgrad", "--ema"]
        command = Path(sys.executable).with_name("mace_run_train")
        began = core_seconds()
        done = run_program(str(command), arguments, folder, TIME_LIMIT_s)
        if done.returncode != 0:
            raise ModelError(
                "mace_run_train",
                f"ended with {done.returncode}: {done.output[-300:]}",
                "Run it by hand with these data to see why",
            )
        return core_seconds() - began


def _atoms(item: LabelledFrame) -> ase.Atoms:
    atoms = to_atoms(item.frame)
    atoms.info = {"total_charge": item.frame.charge, "REF_energy": item.label.energy_eV}
    atoms.arrays["REF_forces"] = item.label.forces_eV_A.copy()
    return atoms
