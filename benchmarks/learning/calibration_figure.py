"""The figure of the calibration: how often the error bars of committees hold, before and after."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.learning.committees import CommitteeScale
from defectscape.report.figures.style import PALETTE
from defectscape.report.tables.model import CALIBRATED
from defectscape.tools.figure_files import save_figure, share_legend

BARS = (
    (0.68, "o", ("before68", "one spread"), ("after68", "68% bar")),
    (0.95, "s", ("before95", "two spreads"), ("after95", "95% bar")),
)
"""The share that is promised, a marker, and the coverages in ``Scale`` before and after, with their names."""


def draw_calibration(scales: Sequence[CommitteeScale], folder: Path) -> list[Path]:
    """One figure for each data set: coverage of errors on held-out families; returns the PNG files.

    Open markers are one and two spreads as the committee gives them, filled ones the calibrated bars;
    each marker is a committee, dashed lines are what the bars promise.
    """
    paths = []
    for data in dict.fromkeys(scale.data for scale in scales):
        mine = [scale for scale in scales if scale.data == data]
        figure, axes = plt.subplots(
            1,
            len(CALIBRATED),
            figsize=(3.6 * len(CALIBRATED), 3.8),
            squeeze=False,
            sharey=True,
            constrained_layout=True,
        )
        for axis, (quantity, title) in zip(axes[0], CALIBRATED.items(), strict=True):
            _draw_coverages(axis, [scale for scale in mine if scale.scale.quantity == quantity])
            axis.set_title(title, fontsize=10)
        axes[0, 0].set_ylabel("held-out errors within the bar (%)")
        share_legend(figure, axes[0, 0], columns=4)
        paths.append(save_figure(figure, folder, f"calibration_{data}"))
    return paths


def _draw_coverages(axis: Axes, scales: Sequence[CommitteeScale]) -> None:
    committees = list(dict.fromkeys((scale.label, scale.high_labels) for scale in scales))
    for (promised, marker, *coverages), colour in zip(BARS, PALETTE, strict=False):
        axis.axhline(100 * promised, color=colour, linewidth=0.9, linestyle="--")
        for (field, name), shift, filling in zip(coverages, (-0.12, 0.12), ("none", colour), strict=True):
            points = [
                (committees.index((scale.label, scale.high_labels)) + shift, 100 * coverage)
                for scale in scales
                if (coverage := getattr(scale.scale, field)) is not None
            ]
            axis.plot(
                *np.reshape(points, (-1, 2)).T,
                marker,
                markersize=6,
                color=colour,
                markerfacecolor=filling,
                label=name,
            )
    axis.set_xticks(
        np.arange(len(committees)),
        [f"{label}\n{count} labels" for label, count in committees],
        fontsize=8,
    )
    axis.set_xlim(-0.5, len(committees) - 0.5)
    axis.set_ylim(0, 103)
