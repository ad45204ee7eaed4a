"""Chosen labels against random ones of the same number: errors, and their figure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from benchmarks.learning.curves import QUANTITIES, deviation_of
from benchmarks.learning.figures import TITLES
from benchmarks.learning.outcome import RunOutcome
from benchmarks.learning.runs import ModelRun
from defectscape.report.figures.style import PALETTE
from defectscape.tools.figures import save_figure


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


def draw_selection(rows: Sequence[SelectionRow], folder: Path) -> list[Path]:
    """One figure for each data set and strategy: paired ratios, with their deviations; returns the PNG files."""
    paths = []
    # A repetition may not have its random labels yet.
    rows = [row for row in rows if row.selector != "random" and row.against_random is not None]
    for data, strategy in dict.fromkeys((row.data, row.strategy) for row in rows):
        mine = [row for row in rows if (row.data, row.strategy) == (data, strategy)]
        selectors = list(dict.fromkeys(row.selector for row in mine))
        figure, axis = plt.subplots(figsize=(6.4, 3.6), constrained_layout=True)
        for index, (quantity, title) in enumerate(TITLES.items()):
            shown = [row for row in mine if row.quantity == quantity]
            axis.errorbar(
                [selectors.index(row.selector) + 0.2 * (index - 1) for row in shown],
                np.array([row.against_random for row in shown], dtype=float),
                yerr=[row.ratio_deviation or 0.0 for row in shown],
                fmt="osv"[index],
                capsize=3,
                color=PALETTE[index],
                label=title.partition(" (")[0],
            )
        axis.axhline(1.0, color="#444444", linewidth=0.9, linestyle="--")
        first, second = mine[0].first, mine[0].second
        axis.set_xticks(range(len(selectors)), selectors)
        axis.set_xlim(-0.5, len(selectors) - 0.5)
        axis.set_ylabel("error / that with random labels")
        axis.set_title(f"{data}, {strategy}: from {first} to {second} labels", fontsize=10)
        axis.legend(frameon=False, fontsize=8)
        paths.append(save_figure(figure, folder, f"selection_{data}_{strategy}"))
    return paths
