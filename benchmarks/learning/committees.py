"""What needs the trained models themselves: calibration of committees, and projections of descriptors.

The models stay in the results folder of the machine that trained them; what they showed there is kept beside the
outcomes of the runs with the digests of these, and serves where the models are not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.learning.data import read_prior, run_data, with_values
from benchmarks.learning.descriptors import draw_projection
from benchmarks.learning.outcome import put_row, read_rows
from benchmarks.learning.runs import ModelRun, runs_of
from benchmarks.learning.settings import ModelBenchmark
from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_rng
from defectscape.files.codec import decode
from defectscape.model.calibration import Judged, Scale, calibrate
from defectscape.model.committee import Committee

MODELS = "models.jsonl.xz"
"""Name of the file in the folder of a benchmark's outcomes."""


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


@dataclass(frozen=True)
class Models:
    """Where models are, and what they showed before.

    Attributes:
        scratch: folder of the models.
        folder: of the benchmark's outcomes.
        digests: of the outcomes that are known, by the names of their runs.
    """

    scratch: Path
    folder: Path
    digests: Mapping[str, str]

    def show(
        self,
        runs: Sequence[ModelRun],
        kind: type[Row],
        look: Callable[[list[Path]], tuple[Row, ...]],
    ) -> tuple[Row, ...]:
        """What the models of some runs show, or showed where they were; nothing if neither is known.

        Args:
            runs: whose models.
            kind: of what is shown.
            look: asks the models.
        """
        digests = [self.digests.get(run.name) for run in runs]
        if None in digests:
            return ()
        models = [self.scratch / f"{run.name}.model" for run in runs]
        if all(model.exists() for model in models):
            rows = look(models)
            content = {"kind": kind.__name__, "run": runs[0].name, "digests": digests, "rows": rows}
            put_row(self.folder / MODELS, content, _whose)
            return rows
        for kept in read_rows(self.folder / MODELS):
            if _whose(kept) == (kind.__name__, runs[0].name) and kept["digests"] == digests:
                return tuple(decode(kind, row) for row in kept["rows"])
        return ()


def _whose(row: Any) -> tuple[str, str]:
    return row["kind"], row["run"]


def committee_scales(benchmark: ModelBenchmark, models: Models) -> tuple[CommitteeScale, ...]:
    """Calibration of every committee whose models are all there, or were where it was done before."""
    runs = [run for run in runs_of(benchmark) if not run.chosen and run.charge_embedding]
    found: list[CommitteeScale] = []
    for base in [run for run in runs if run.member == 0]:
        members = [run for run in runs if replace(run, member=0) == base]
        if len(members) >= benchmark.committee:
            look = partial(_scales, benchmark, base)
            found += models.show(members, CommitteeScale, look)
    return tuple(found)


def _scales(benchmark: ModelBenchmark, base: ModelRun, paths: list[Path]) -> tuple[CommitteeScale, ...]:
    """From the validation families of a run, tried on its test families."""
    prior = read_prior(benchmark, base)
    committee, data = Committee.load(paths, prior=prior), with_values(run_data(benchmark, base), prior)
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


def separations(benchmark: ModelBenchmark, models: Models, figures: Path) -> tuple[Separation, ...]:
    """Projections of the first repetition's models with the most labels.

    Args:
        benchmark: all settings.
        models: where they are.
        figures: folder of the figures, drawn where the models are.
    """
    chosen: dict[tuple[str, str], ModelRun] = {}
    for run in runs_of(benchmark):
        first = run.repeat == 0 and run.member == 0 and run.charge_embedding and not run.chosen
        known = chosen.get((run.data, run.label))
        if first and (known is None or known.high_labels < run.high_labels):
            chosen[run.data, run.label] = run
    found: list[Separation] = []
    for run in chosen.values():
        look = partial(_separation, benchmark, run, figures)
        found += models.show([run], Separation, look)
    return tuple(found)


def _separation(benchmark: ModelBenchmark, run: ModelRun, figures: Path, paths: list[Path]) -> tuple[Separation]:
    """Of a run's high-fidelity frames of one defect: another one is another cell, which separates by itself."""
    data = run_data(benchmark, run)
    high = data.fidelities[1]
    frames = [item.frame for item in (*data.train, *data.test) if item.fidelity == high]
    frames = [frame for frame in frames if frame.key.defect == frames[0].key.defect]
    target = figures / f"descriptors_{run.data}_{run.strategy}"
    seen, forced = draw_projection(target, paths[0], frames)
    return (Separation(run.data, run.label, seen.silhouette, forced.silhouette),)
