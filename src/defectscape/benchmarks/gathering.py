"""All arms of a benchmark that are there, as one file and its figures."""

import platform
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from defectscape import __version__
from defectscape.benchmarks.arms import arms_of
from defectscape.benchmarks.calibration_figure import draw_calibration
from defectscape.benchmarks.committees import (
    CommitteeScale,
    Separation,
    committee_scales,
    separations,
)
from defectscape.benchmarks.curves import Curve, make_curves
from defectscape.benchmarks.figures import draw_curves, draw_parity
from defectscape.benchmarks.outcome import ArmOutcome, SetError, outcome_path, read_outcome
from defectscape.benchmarks.selection_figure import draw_selection
from defectscape.benchmarks.selection_rows import SelectionRow, selection_rows
from defectscape.files.tables import write_json
from defectscape.settings.benchmark import ModelBenchmark


@dataclass(frozen=True)
class ByCharge:
    """Errors of one arm by charge, of the last point of its learning curve, first repetition."""

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
        trained_on: devices and versions of torch that trained the arms, and how many each.
        versions: of the packages here.
        finished: when it was gathered.
        arms, arms_done: how many there are, and how many had been trained.
        core_s: processor time of all trainings, s.
        curves: learning curves.
        by_charge: errors per charge with the most labels.
        selection: chosen labels against random ones.
        calibration: of the committees.
        separations: of descriptors by charge, with their control.
    """

    command: str
    machine: str
    trained_on: dict[str, int]
    versions: dict[str, str]
    finished: str
    arms: int
    arms_done: int
    core_s: float
    curves: tuple[Curve, ...]
    by_charge: tuple[ByCharge, ...]
    selection: tuple[SelectionRow, ...]
    calibration: tuple[CommitteeScale, ...]
    separations: tuple[Separation, ...]


def gather(benchmark: ModelBenchmark, file: Path, folder: Path, scratch: Path) -> BenchmarkResult:
    """Read the outcomes, write ``<folder>/<name>.json`` and figures into ``<folder>/<name>``.

    Args:
        benchmark: all settings.
        file: its YAML file, for the command that is written down.
        folder: of the benchmarks.
        scratch: folder of the models.
    """
    own = folder / benchmark.name
    arms = arms_of(benchmark)
    found = [read_outcome(outcome_path(own / "arms", arm)) for arm in arms]
    outcomes = [outcome for outcome in found if outcome is not None]
    result = BenchmarkResult(
        command=f"snakemake benchmark_model --cores 2 --config benchmark={file}",
        machine=f"{platform.machine()}, {platform.system()}",
        trained_on=dict(Counter(outcome.trained_on for outcome in outcomes)),
        versions={"defectscape": __version__}
        | {name: version(name) for name in ("torch", "mace-torch", "e3nn")},
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        arms=len(arms),
        arms_done=len(outcomes),
        core_s=round(sum(outcome.core_s for outcome in outcomes), 1),
        curves=make_curves(outcomes),
        by_charge=_by_charge(outcomes),
        selection=selection_rows(outcomes),
        calibration=committee_scales(benchmark, scratch, own),
        separations=separations(benchmark, scratch, own),
    )
    write_json(folder / f"{benchmark.name}.json", result)
    draw_curves(result.curves, own)
    draw_parity(outcomes, own)
    draw_calibration(result.calibration, own)
    draw_selection(result.selection, own)
    return result


def _by_charge(outcomes: list[ArmOutcome]) -> tuple[ByCharge, ...]:
    most: dict[tuple[str, str, str], ArmOutcome] = {}
    for outcome in outcomes:
        arm = outcome.arm
        kind = arm.data, arm.schedule, arm.label
        if arm.repeat or arm.member or arm.chosen:
            continue
        if kind not in most or most[kind].arm.high_labels < arm.high_labels:
            most[kind] = outcome
    return tuple(
        ByCharge(*kind, outcome.arm.high_labels, outcome.errors) for kind, outcome in most.items()
    )
