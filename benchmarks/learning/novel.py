"""How runs rank structures that were found after their labels: a network must not be asked what it cannot know."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from benchmarks.learning.outcome import RunOutcome
from benchmarks.learning.settings import ModelBenchmark
from defectscape.domain.keys import DefectKey

LOWEST = 10
"""So many of the lowest structures of a charge are looked at by themselves."""


@dataclass(frozen=True)
class NovelRow:
    """One kind of run on the novel structures of one charge: mean over repetitions, with the range.

    Attributes:
        data, schedule, label, high_labels: which runs.
        charge: of the structures, e.
        frames: how many structures.
        repetitions: how many runs.
        rank_correlation: Spearman's, of the model's energies and the engine's.
        rank_correlation_range: lowest and highest of the repetitions.
        scatter_eV: standard deviation of the model's error, eV per cell.
        lowest_error_eV: mean error of the ``LOWEST`` structures that the engine has lowest, eV per cell.
        force_rmse_meV_A: per Cartesian component.
    """

    data: str
    schedule: str
    label: str
    high_labels: int
    charge: int
    frames: int
    repetitions: int
    rank_correlation: float
    rank_correlation_range: tuple[float, float]
    scatter_eV: float
    lowest_error_eV: float
    force_rmse_meV_A: float


def novel_rows(benchmark: ModelBenchmark, outcomes: Sequence[RunOutcome]) -> tuple[NovelRow, ...]:
    """The rows of all data sets whose errors are of novel structures."""
    names = {pair.name for pair in benchmark.data if pair.novel}
    kinds: dict[tuple[str, str, str, int], list[RunOutcome]] = {}
    for outcome in outcomes:
        run = outcome.run
        if run.data in names and not run.member and not run.chosen:
            kinds.setdefault((run.data, run.schedule, run.label, run.high_labels), []).append(outcome)
    return tuple(
        _row(kind, charge, found)
        for kind, found in kinds.items()
        for charge in sorted({DefectKey.parse(key).charge for key, *_ in found[0].frames})
    )


def _row(kind: tuple[str, str, str, int], charge: int, outcomes: Sequence[RunOutcome]) -> NovelRow:
    tables = [_energies_eV(outcome, charge) for outcome in outcomes]
    ranks = [float(spearmanr(label_eV, model_eV).statistic) for label_eV, model_eV in tables]
    errors = [model_eV - label_eV for label_eV, model_eV in tables]
    lowest = [
        float(error[np.argsort(label_eV)[:LOWEST]].mean()) for error, (label_eV, _) in zip(errors, tables, strict=True)
    ]
    forces = [row.force_rmse_meV_A for outcome in outcomes for row in outcome.errors if row.charge == charge]
    return NovelRow(
        *kind,
        charge=charge,
        frames=len(tables[0][0]),
        repetitions=len(outcomes),
        rank_correlation=float(np.mean(ranks)),
        rank_correlation_range=(min(ranks), max(ranks)),
        scatter_eV=float(np.mean([error.std(ddof=1) for error in errors])),
        lowest_error_eV=float(np.mean(lowest)),
        force_rmse_meV_A=float(np.mean(forces)),
    )


def _energies_eV(outcome: RunOutcome, charge: int) -> tuple[np.ndarray, np.ndarray]:
    """The engine's and the model's energies of the structures of a charge, eV."""
    rows = [(label, model) for key, _, label, model in outcome.frames if DefectKey.parse(key).charge == charge]
    label_eV, model_eV = np.array(rows).T
    return label_eV, model_eV
