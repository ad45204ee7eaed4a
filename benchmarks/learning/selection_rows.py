"""Chosen labels against random ones of the same number."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.learning.curves import QUANTITIES, deviation_of
from benchmarks.learning.outcome import RunOutcome
from benchmarks.learning.runs import ModelRun


@dataclass(frozen=True)
class SelectionRow:
    """Errors of one way of choosing labels.

    Attributes:
        data, strategy, selector: which.
        first, second: labels before and after the choice.
        quantity: which error, with its unit.
        repeats: repetitions.
        mean, deviation: over repetitions.
        against_random: mean of the paired ratio to random labels of the same repetition.
        ratio_deviation: its standard deviation.
    """

    data: str
    strategy: str
    selector: str
    first: int
    second: int
    quantity: str
    repeats: int
    mean: float
    deviation: float | None
    against_random: float | None
    ratio_deviation: float | None


def selection_rows(outcomes: Sequence[RunOutcome]) -> tuple[SelectionRow, ...]:
    """Chosen labels against random ones of the same number, in the same repetitions."""
    singles = [outcome for outcome in outcomes if outcome.run.member == 0]
    trials = dict.fromkeys(replace(o.run, repeat=0, selector="random") for o in singles if o.run.chosen)
    rows: list[SelectionRow] = []
    for trial in trials:
        groups: dict[str, dict[int, RunOutcome]] = {"random": {}}
        for outcome in singles:
            run = outcome.run
            first = trial.first if run.chosen else 0
            if replace(run, repeat=0, selector="random") == replace(trial, first=first):
                groups.setdefault(run.selector, {})[run.repeat] = outcome
        for selector, members in groups.items():
            if members:
                rows += _rows(trial, selector, members, groups["random"])
    return tuple(rows)


def _rows(
    trial: ModelRun, selector: str, members: dict[int, RunOutcome], random: dict[int, RunOutcome]
) -> list[SelectionRow]:
    rows = []
    for quantity in QUANTITIES:
        values = {r: getattr(o.errors[0], quantity) for r, o in members.items()}
        ratios = [value / getattr(random[r].errors[0], quantity) for r, value in values.items() if r in random]
        rows.append(
            SelectionRow(
                trial.data,
                trial.strategy,
                selector,
                trial.first,
                trial.high_labels,
                quantity,
                len(values),
                float(np.mean(list(values.values()))),
                deviation_of(list(values.values())),
                float(np.mean(ratios)) if ratios else None,
                deviation_of(ratios),
            )
        )
    return rows
