"""One run, from its data to its errors.

The first phase of a strategy of two is trained once for all runs that differ in the number of labels alone: it sees
low-fidelity labels only, which these runs have in common. Its checkpoint is copied to where the training of a run
looks for its own: that finds its first phase finished.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.learning.data import RunData, over, read_prior, run_data, with_values
from benchmarks.learning.digest import run_digest
from benchmarks.learning.outcome import RunOutcome, SetError, keep_outcome, read_outcomes
from benchmarks.learning.runs import ModelRun, choosing_committee, training_of
from benchmarks.learning.settings import ModelBenchmark
from defectscape.domain.errors import ConfigError
from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_seed
from defectscape.model.backend import find_device, numerics
from defectscape.model.committee import Committee
from defectscape.model.history import TrainingHistory
from defectscape.model.job import Job
from defectscape.model.training import train_member
from defectscape.settings.training import TrainingSettings

TWO_PHASES = ("pretrain_finetune", "delta")


def share_first_phase(data: RunData, settings: TrainingSettings, seed: int, shared: Path, checkpoint: Path) -> None:
    """Finish the first phase, if it is not finished yet, and hand its checkpoint to a training.

    Args:
        data: of the run.
        settings: of the run.
        seed: of the member.
        shared: its checkpoint lies beside this path, as ``<shared>.first``, and stays.
        checkpoint: of the training that goes on from there.
    """
    device, low = find_device(settings.device), data.fidelities[0]
    job = Job(data.train, data.valid, data.fidelities, settings, seed, 0, device, None, shared)
    with numerics(settings.dtype, device):
        job.run("first phase", *job.part(low), (low,), None, first=True, steps=job.pretrain_steps)
    _, first = job.checkpoints
    shutil.copyfile(first, checkpoint.with_name(f"{checkpoint.name}.first"))


logger = logging.getLogger(__name__)

NEAR_EV_ATOM = 0.01
"""Frames this close to the lowest label of their charge are near a minimum."""


def train_run(
    benchmark: ModelBenchmark,
    run: ModelRun,
    folder: Path,
    scratch: Path,
    *,
    need_model: bool = False,
) -> RunOutcome:
    """Train a run, unless its outcome is known, and measure it.

    Args:
        benchmark: all settings.
        run: which.
        folder: of the outcomes.
        scratch: for the model file and the checkpoint; the model stays.
        need_model: train again if the outcome is known but the model file is not there.
    """
    settings = training_of(benchmark, run)
    chooser = (lambda: _committee(benchmark, run, folder, scratch)) if run.chosen else None
    prior = read_prior(benchmark, run)
    data = with_values(run_data(benchmark, run, chooser), prior)
    # A run was called an arm when the first outcomes were stored; another word is another seed.
    seed = derive_seed(benchmark.seed, "arm", run.repeat)
    learned = over(data, prior)
    digest = run_digest(run, settings, learned.train, learned.valid, seed)
    model = scratch / f"{run.name}.model"
    known = read_outcomes(folder).get(run.name)
    if known is not None and known.digest == digest and (model.exists() or not need_model):
        logger.info("%s is known", run.name)
        return known
    history = _train(run, learned, settings, seed, model, "" if prior is None else prior.name)
    outcome = _measure(run, digest, data, history, Committee.load([model], prior=prior), settings.device)
    keep_outcome(folder, outcome)
    return outcome


def _train(
    run: ModelRun, data: RunData, settings: TrainingSettings, seed: int, model: Path, prior: str
) -> TrainingHistory:
    """Write the model of a run; ``prior`` names what was taken off its data."""
    told = data if run.charge_embedding else data.without_charge()
    checkpoint = model.with_name(f"{run.name}.checkpoint")
    if run.strategy in TWO_PHASES:
        shared = model.with_name(run.first_phase)
        share_first_phase(told, settings, derive_seed(seed, "member", run.member), shared, checkpoint)
    return train_member(
        told.train,
        told.valid,
        told.fidelities,
        settings,
        seed,
        run.member,
        model,
        checkpoint=checkpoint,
        prior=prior,
    )


def _committee(benchmark: ModelBenchmark, run: ModelRun, folder: Path, scratch: Path) -> Committee:
    """The models that choose a run's labels, trained now if they are not there."""
    members = choosing_committee(benchmark, run)
    for member in members:
        train_run(benchmark, member, folder, scratch, need_model=True)
    return Committee.load([scratch / f"{member.name}.model" for member in members])


def _measure(
    run: ModelRun,
    digest: str,
    data: RunData,
    history: TrainingHistory,
    committee: Committee,
    device: str,
) -> RunOutcome:
    high = data.fidelities[1]
    told = data if run.charge_embedding else data.without_charge()
    train, told_train = ([i for i in d.train if i.fidelity == high] for d in (data, told))
    energies, forces = _predictions(committee, told.test, high)
    charges = sorted({item.frame.charge for item in data.test})
    rows = [set_error(data.test, energies, forces, None)]
    rows += [set_error(data.test, energies, forces, charge) for charge in charges]
    close = _near(data.test)
    near = None
    if len(close) > 1:
        chosen = [data.test[i] for i in close]
        near = set_error(chosen, energies[close], [forces[i] for i in close], None)
    fitted = _predictions(committee, told_train, high)
    return RunOutcome(
        run=run,
        digest=digest,
        train_low=len(data.train) - len(train),
        train_high=len(train),
        valid_high=sum(item.fidelity == high for item in data.valid),
        errors=tuple(rows),
        near=near,
        train_error=set_error(train, *fitted, None),
        steps=sum(phase.validations[-1].step for phase in (*history.earlier, history)),
        stop_reason=history.stop_reason,
        core_s=round(history.all_core_s, 1),
        trained_on=f"{device}, torch {torch.__version__}",
        frames=tuple(
            (str(item.frame.key), len(item.frame), item.label.energy_eV, float(energy))
            for item, energy in zip(data.test, energies, strict=True)
        ),
    )


def _predictions(
    committee: Committee, items: Sequence[LabelledFrame], fidelity: str
) -> tuple[np.ndarray, list[np.ndarray]]:
    points = committee.evaluate_many([item.frame for item in items], fidelity)
    return np.array([point.energy_eV for point in points]), [p.forces_eV_A for p in points]


def _near(items: Sequence[LabelledFrame]) -> list[int]:
    """Frames near the lowest label of their charge."""
    lowest: dict[int, float] = {}
    for item in items:
        energy = item.label.energy_eV / len(item.frame)
        charge = item.frame.charge
        lowest[charge] = min(lowest.get(charge, energy), energy)
    return [
        index
        for index, item in enumerate(items)
        if item.label.energy_eV / len(item.frame) - lowest[item.frame.charge] < NEAR_EV_ATOM
    ]


def set_error(
    items: Sequence[LabelledFrame],
    energies_eV: np.ndarray,
    forces_eV_A: Sequence[np.ndarray],
    charge: int | None,
) -> SetError:
    """Errors on the frames of one charge (None: all) of predictions (m,) eV and m arrays (n, 3) eV/A.

    Raises:
        ConfigError: if there is no such frame.
    """
    chosen = [i for i, item in enumerate(items) if charge in (None, item.frame.charge)]
    if not chosen:
        raise ConfigError("test_families", "hold no frame of this charge", "Hold out others")
    errors = np.array([1e3 * (energies_eV[i] - items[i].label.energy_eV) / len(items[i].frame) for i in chosen])
    charges = np.array([items[i].frame.charge for i in chosen])
    centred = errors.copy()
    for value in set(charges.tolist()):
        centred[charges == value] -= errors[charges == value].mean()
    force = np.concatenate([(forces_eV_A[i] - items[i].label.forces_eV_A).ravel() for i in chosen])
    return SetError(charge, len(chosen), _rms(errors), _rms(centred), 1e3 * _rms(force))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
