"""What needs the trained models themselves: calibration of committees, and projections of descriptors.

The models stay in the results folder of the machine that trained them; what they showed there is a small file
beside the outcomes of the runs, which knows the hashes of its runs and serves where the models are not.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.learning.runs import ModelRun, runs_of
from benchmarks.learning.descriptors import draw_projection
from benchmarks.learning.outcome import outcome_path, read_outcome
from benchmarks.learning.training import run_data
from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_rng
from defectscape.files.tables import decode, read_json, write_json
from defectscape.model.calibration import Judged, Scale, calibrate
from defectscape.model.committee import Committee
from benchmarks.learning.settings import ModelBenchmark

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CommitteeScale:
    """Calibration of one committee.

    Attributes:
        data, label, high_labels, repeat: which runs are its members.
        scale: the factor of one quantity and its coverage.
    """

    data: str
    label: str
    high_labels: int
    repeat: int
    scale: Scale


@dataclass(frozen=True)
class Separation:
    """Separation of descriptors by charge (silhouette, -1 to 1), and without the charge in them."""

    data: str
    label: str
    true_charge: float
    forced_charge: float


Row = TypeVar("Row", CommitteeScale, Separation)


def _shown(
    folder: Path, scratch: Path, runs: Sequence[ModelRun], kind: type[Row],
    look: Callable[[list[Path]], tuple[Row, ...]],
) -> tuple[Row, ...]:  # fmt: skip
    """What the models of some runs show, or showed where they were; nothing if neither is known.

    Args:
        folder: of the benchmark's outcomes.
        scratch: folder of the models.
        runs: whose models.
        kind: of what is shown.
        look: asks the models.
    """
    outcomes = [read_outcome(outcome_path(folder / "runs", run)) for run in runs]
    digests = [outcome.digest for outcome in outcomes if outcome is not None]
    if len(digests) < len(runs):
        return ()
    models = [scratch / f"{run.name}.model" for run in runs]
    path = folder / "models" / f"{runs[0].name}_{kind.__name__}.json"
    if all(model.exists() for model in models):
        rows = look(models)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"digests": digests, "rows": rows})
        return rows
    kept = read_json(path) if path.exists() else {"digests": None, "rows": []}
    if kept["digests"] != digests:
        return ()
    return tuple(decode(kind, row) for row in kept["rows"])


def committee_scales(
    benchmark: ModelBenchmark, scratch: Path, folder: Path
) -> tuple[CommitteeScale, ...]:
    """Calibration of every committee whose models are all there, or were where it was done before.

    Args:
        benchmark: all settings.
        scratch: folder of the models.
        folder: of the benchmark's outcomes.
    """
    runs = [run for run in runs_of(benchmark) if not run.chosen and run.charge_embedding]
    found: list[CommitteeScale] = []
    for base in [run for run in runs if run.member == 0]:
        members = [run for run in runs if replace(run, member=0) == base]
        if len(members) >= benchmark.committee:
            look = partial(_scales, benchmark, base)
            found += _shown(folder, scratch, members, CommitteeScale, look)
    return tuple(found)


def _scales(benchmark: ModelBenchmark, base: ModelRun, models: list[Path]) -> tuple[CommitteeScale, ...]:
    """From the validation families of a run, tried on its test families."""
    committee, data = Committee.load(models), run_data(benchmark, base)
    high = data.fidelities[1]
    valid, test = (_judged(committee, side, high) for side in (data.valid, data.test))
    rng = derive_rng(benchmark.seed, "calibration", base.name)
    return tuple(
        CommitteeScale(base.data, base.label, base.high_labels, base.repeat, scale)
        for scale in calibrate(valid, test, high, rng)
    )


def _judged(committee: Committee, data: Sequence[LabelledFrame], fidelity: str) -> list[Judged]:
    items = [item for item in data if item.fidelity == fidelity]
    points = committee.evaluate_many([item.frame for item in items], fidelity)
    return list(zip(items, points, strict=True))


def separations(benchmark: ModelBenchmark, scratch: Path, folder: Path) -> tuple[Separation, ...]:
    """Projections of the first repetition's models with the most labels, as figures.

    Args:
        benchmark: all settings.
        scratch: folder of the models.
        folder: of the figures.
    """
    chosen: dict[tuple[str, str], ModelRun] = {}
    for run in runs_of(benchmark):
        first = run.repeat == 0 and run.member == 0 and run.charge_embedding and not run.chosen
        known = chosen.get((run.data, run.label))
        if first and (known is None or known.high_labels < run.high_labels):
            chosen[run.data, run.label] = run
    found: list[Separation] = []
    for run in chosen.values():
        look = partial(_separation, benchmark, run, folder)
        found += _shown(folder, scratch, [run], Separation, look)
    return tuple(found)


def _separation(
    benchmark: ModelBenchmark, run: ModelRun, folder: Path, models: list[Path]
) -> tuple[Separation]:
    """Of a run's high-fidelity frames of one defect: another one is another cell, which separates by itself."""
    data = run_data(benchmark, run)
    high = data.fidelities[1]
    frames = [item.frame for item in (*data.train, *data.test) if item.fidelity == high]
    frames = [frame for frame in frames if frame.key.defect == frames[0].key.defect]
    target = folder / f"descriptors_{run.data}_{run.strategy}"
    seen, forced = draw_projection(target, models[0], frames)
    return (Separation(run.data, run.label, seen.silhouette, forced.silhouette),)
