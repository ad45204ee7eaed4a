"""One run, from its data to its errors."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.learning.runs import ModelRun, choosing_committee, training_of
from benchmarks.learning.folds import draw, make_fold, part
from benchmarks.learning.outcome import (
    RunOutcome,
    SetError,
    run_digest,
    outcome_path,
    read_outcome,
    write_outcome,
)
from benchmarks.learning.selecting import choose
from defectscape.domain.errors import ConfigError
from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_seed
from defectscape.model.checkpoint import inputs_digest
from defectscape.model.committee import Committee
from defectscape.model.history import TrainingHistory
from defectscape.model.training import train_member
from benchmarks.learning.settings import DataSetPair, ModelBenchmark
from defectscape.stages.data_sets import read_card, read_data_set
from defectscape.stages.labels import unique

logger = logging.getLogger(__name__)

VERSION = 1
"""Raise it when the code changes the outcome of a run."""
NEAR_EV_ATOM = 0.01
"""Frames this close to the lowest label of their charge are near a minimum."""


@dataclass(frozen=True, eq=False)
class RunData:
    """What a run trains on and is measured on."""

    fidelities: tuple[str, str]
    train: tuple[LabelledFrame, ...]
    valid: tuple[LabelledFrame, ...]
    test: tuple[LabelledFrame, ...]


def read_pair(pair: DataSetPair) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """Low and high labels of the defects, in the families that the split asks for.

    Those of the host and of the references are left out.
    """
    low, high = _read(pair.low), _read(pair.high)
    if pair.split == "structures":
        low, high = list(map(_alone, low)), list(map(_alone, high))
    return low, high


def _read(paths: Sequence[Path]) -> list[LabelledFrame]:
    """The defects' labels of data sets of one fidelity; a frame that several hold comes once."""
    labelled = [item for path in paths for item, _ in read_data_set(path, read_card(path))]
    fidelities = sorted({item.fidelity for item in labelled})
    if len(fidelities) > 1:
        raise ConfigError(
            f"data sets {', '.join(map(str, paths))}", f"hold {' and '.join(fidelities)}",
            "Give data sets of one fidelity together",
        )  # fmt: skip
    return unique(item for item in labelled if "/" in item.frame.family)


def _alone(item: LabelledFrame) -> LabelledFrame:
    """The label with its structure, in its charge state, as its family at both fidelities."""
    return replace(item, frame=replace(item.frame, family=item.frame.geometry_hash))


def run_data(
    benchmark: ModelBenchmark, run: ModelRun, committee: Callable[[], Committee] | None = None
) -> RunData:
    """The run's frames.

    Args:
        benchmark: all settings.
        run: which.
        committee: gives what chooses the labels, for a run whose labels are chosen.

    Raises:
        ConfigError: if there are fewer labels than it asks for.
    """
    (pair,) = [pair for pair in benchmark.data if pair.name == run.data]
    low, high = read_pair(pair)
    names = low[0].fidelity, high[0].fidelity
    families = sorted({item.frame.family for item in high})
    fold = make_fold(families, pair.test_families, pair.valid_families, benchmark.seed, run.repeat)
    outside = fold.test | fold.valid
    # Low-fidelity frames of families that have no high label at all may train.
    low_train = [item for item in low if item.frame.family not in outside]
    pool = part(high, fold.train)
    high_train = draw(pool, run.first or run.high_labels, benchmark.seed, run.repeat)
    if committee is not None:
        high_train = choose(run, high_train, pool, committee(), pair.centre)
    return RunData(
        names,
        (*low_train, *high_train),
        (*part(low, fold.valid), *part(high, fold.valid)),
        tuple(part(high, fold.test)),
    )


def train_run(
    benchmark: ModelBenchmark, run: ModelRun, folder: Path, scratch: Path, *, need_model: bool = False
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
    data = run_data(benchmark, run, chooser)
    seed = derive_seed(benchmark.seed, "arm", run.repeat)
    of_inputs = inputs_digest(
        sorted(data.train, key=_order), sorted(data.valid, key=_order), settings, seed, None
    )
    digest = run_digest(of_inputs, run, VERSION)
    model, path = scratch / f"{run.name}.model", outcome_path(folder, run)
    known = read_outcome(path, digest)
    if known is not None and (model.exists() or not need_model):
        logger.info("%s is known", run.name)
        return known
    history = train_member(
        data.train, data.valid, data.fidelities, settings, seed, run.member, model,
        checkpoint=scratch / f"{run.name}.checkpoint",
        shared_first=scratch / f"{run.first_phase}.first",
    )  # fmt: skip
    outcome = _measure(run, digest, data, history, Committee.load([model]), settings.device)
    write_outcome(path, outcome)
    return outcome


def _committee(benchmark: ModelBenchmark, run: ModelRun, folder: Path, scratch: Path) -> Committee:
    """The models that choose a run's labels, trained now if they are not there."""
    members = choosing_committee(benchmark, run)
    for member in members:
        train_run(benchmark, member, folder, scratch, need_model=True)
    return Committee.load([scratch / f"{member.name}.model" for member in members])


def _order(item: LabelledFrame) -> tuple[str, str, str]:
    return item.fidelity, str(item.frame.key), item.frame.frame_id


def _measure(
    run: ModelRun, digest: str, data: RunData, history: TrainingHistory, committee: Committee,
    device: str,
) -> RunOutcome:  # fmt: skip
    high = data.fidelities[1]
    train = [item for item in data.train if item.fidelity == high]
    energies, forces = _predictions(committee, data.test, high)
    charges = sorted({item.frame.charge for item in data.test})
    rows = [set_error(data.test, energies, forces, None)]
    rows += [set_error(data.test, energies, forces, charge) for charge in charges]
    close = _near(data.test)
    near = None
    if len(close) > 1:
        chosen = [data.test[i] for i in close]
        near = set_error(chosen, energies[close], [forces[i] for i in close], None)
    fitted = _predictions(committee, train, high)
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
    errors = np.array([
        1e3 * (energies_eV[i] - items[i].label.energy_eV) / len(items[i].frame) for i in chosen
    ])  # fmt: skip
    charges = np.array([items[i].frame.charge for i in chosen])
    centred = errors.copy()
    for value in set(charges.tolist()):
        centred[charges == value] -= errors[charges == value].mean()
    force = np.concatenate([(forces_eV_A[i] - items[i].label.forces_eV_A).ravel() for i in chosen])
    return SetError(charge, len(chosen), _rms(errors), _rms(centred), 1e3 * _rms(force))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
