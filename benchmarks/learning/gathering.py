"""All runs of a benchmark that are there, as one file and its figures."""

import platform
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.learning.committees import (
    CommitteeScale,
    Models,
    Separation,
    committee_scales,
    separations,
)
from benchmarks.learning.curves import Curve, make_curves
from benchmarks.learning.figures import draw_calibration, draw_curves, draw_parity
from benchmarks.learning.novel import NovelRow, novel_rows
from benchmarks.learning.outcome import RunOutcome, SetError, read_outcomes
from benchmarks.learning.runs import runs_of
from benchmarks.learning.selection_trials import SelectionRow, draw_selection, selection_rows
from benchmarks.learning.settings import ModelBenchmark
from defectscape import __version__
from defectscape.files.tables import write_json


@dataclass(frozen=True)
class ByCharge:
    """Errors of one run by charge, of the last point of its learning curve, first repetition."""

    data: str
    schedule: str
    label: str
    high_labels: int
    errors: tuple[SetError, ...]


@dataclass(frozen=True)
class BenchmarkResult:
    """What a benchmark found.

    Attributes:
        command: what was run.
        machine: where this was gathered.
        trained_on: devices and versions of torch that trained the runs, and how many each.
        versions: of the packages here.
        finished: when it was gathered.
        runs, runs_done: how many there are, and how many had been trained.
        core_s: processor time of all trainings, s.
        curves: learning curves.
        by_charge: errors per charge with the most labels.
        selection: chosen labels against random ones.
        calibration: of the committees.
        separations: of descriptors by charge, with their control.
        novel: how structures that were found later are ranked.
    """

    command: str
    machine: str
    trained_on: dict[str, int]
    versions: dict[str, str]
    finished: str
    runs: int
    runs_done: int
    core_s: float
    curves: tuple[Curve, ...]
    by_charge: tuple[ByCharge, ...]
    selection: tuple[SelectionRow, ...]
    calibration: tuple[CommitteeScale, ...]
    separations: tuple[Separation, ...]
    novel: tuple[NovelRow, ...]


def gather(benchmark: ModelBenchmark, file: Path, folder: Path, scratch: Path) -> BenchmarkResult:
    """Read the outcomes, write ``<folder>/<name>.json``, and figures into ``<scratch>/figures``.

    A figure that lies beside the outcomes already, because the documentation shows it, is renewed there.

    Args:
        benchmark: all settings.
        file: its YAML file, for the command that is written down.
        folder: of the benchmarks.
        scratch: folder of the models.
    """
    own, figures = folder / benchmark.name, scratch / "figures"
    runs, known = runs_of(benchmark), read_outcomes(own)
    outcomes = [known[run.name] for run in runs if run.name in known]
    models = Models(scratch, own, {outcome.run.name: outcome.digest for outcome in outcomes})
    result = BenchmarkResult(
        command=f"snakemake --snakefile benchmarks/Snakefile --cores 2 --config benchmark={file}",
        machine=f"{platform.machine()}, {platform.system()}",
        trained_on=dict(Counter(outcome.trained_on for outcome in outcomes)),
        versions={"defectscape": __version__} | {name: version(name) for name in ("torch", "mace-torch", "e3nn")},
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        runs=len(runs),
        runs_done=len(outcomes),
        core_s=round(sum(outcome.core_s for outcome in outcomes), 1),
        curves=make_curves(outcomes),
        by_charge=_by_charge(outcomes),
        selection=selection_rows(outcomes),
        calibration=committee_scales(benchmark, models),
        separations=separations(benchmark, models, figures),
        novel=novel_rows(benchmark, outcomes),
    )
    write_json(folder / f"{benchmark.name}.json", result)
    draw_curves(result.curves, figures)
    draw_parity(outcomes, figures)
    draw_calibration(result.calibration, figures)
    draw_selection(result.selection, figures)
    for shown in own.glob("*.png"):
        shutil.copyfile(figures / shown.name, shown)
    return result


def _by_charge(outcomes: list[RunOutcome]) -> tuple[ByCharge, ...]:
    most: dict[tuple[str, str, str], RunOutcome] = {}
    for outcome in outcomes:
        run = outcome.run
        kind = run.data, run.schedule, run.label
        if run.repeat or run.member or run.chosen:
            continue
        if kind not in most or most[kind].run.high_labels < run.high_labels:
            most[kind] = outcome
    return tuple(ByCharge(*kind, outcome.run.high_labels, outcome.errors) for kind, outcome in most.items())
