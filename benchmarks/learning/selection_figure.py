"""The figure of the selection: errors with chosen labels over those with random ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from benchmarks.learning.figures import TITLES
from benchmarks.learning.selection_rows import SelectionRow
from defectscape.report.figures.style import PALETTE
from defectscape.tools.figure_files import save_figure


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
