"""Figures of the model benchmark: learning curves, labels against predictions, and the calibration of committees."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib import ticker
from matplotlib.axes import Axes

from benchmarks.learning.committees import CommitteeScale
from benchmarks.learning.curves import Curve
from benchmarks.learning.outcome import RunOutcome
from defectscape.domain.keys import DefectKey
from defectscape.report.figures.style import PALETTE
from defectscape.report.tables.model import CALIBRATED
from defectscape.tools.figures import save_figure, share_legend

TITLES = {
    "force_rmse_meV_A": "Force RMSE (meV/Å)",
    "energy_rmse_meV_atom": "Energy RMSE (meV/atom)",
    "energy_centred_rmse_meV_atom": "Energy RMSE within a charge (meV/atom)",
}
NEAR = {False: "all held-out frames", True: "near minima"}
MARKERS = "os^Dvphx"


def draw_curves(curves: Sequence[Curve], folder: Path) -> list[Path]:
    """One figure for each data set and schedule, errors against labels; returns the PNG files.

    Errors near minima are below those of all frames. Bars are standard deviations over repetitions, which differ in
    families, labels and weights: most of it is that some families are harder than others. So the last panel has
    ratios within repetitions, to ``high_only``.
    """
    paths = []
    for data, schedule in dict.fromkeys((curve.data, curve.schedule) for curve in curves):
        mine = [c for c in curves if (c.data, c.schedule) == (data, schedule)]
        rows = [near for near in (False, True) if any(curve.near == near for curve in mine)]
        figure, axes = plt.subplots(
            len(rows), 4, figsize=(16, 0.6 + 4 * len(rows)), squeeze=False, constrained_layout=True
        )
        for row, near in zip(axes, rows, strict=True):
            _draw_row(row, [curve for curve in mine if curve.near == near])
            row[0].set_title(NEAR[near], loc="left", fontsize=10)
        share_legend(figure, axes[0, 0], columns=7)
        figure.suptitle(f"{data}: errors on families never seen, schedule {schedule}", fontsize=11)
        paths.append(save_figure(figure, folder, f"curves_{data}_{schedule}"))
    return paths


def _draw_row(axes: Sequence[Axes], curves: Sequence[Curve]) -> None:
    for axis, (quantity, title) in zip(axes[:3], TITLES.items(), strict=True):
        _draw_panel(axis, [curve for curve in curves if curve.quantity == quantity], title)
    forces = next(iter(TITLES))
    if all(point.against_high_only is None for curve in curves for point in curve.points):
        axes[3].set_axis_off()
        return
    _draw_panel(
        axes[3],
        [curve for curve in curves if curve.quantity == forces],
        "Force RMSE / that of high_only",
        ratios=True,
    )


def _draw_panel(axis: Axes, curves: Sequence[Curve], title: str, *, ratios: bool = False) -> None:
    for index, curve in enumerate(curves):
        rows: list[tuple[int, float, float | None]] = []
        for point in curve.points:
            if not ratios:
                rows.append((point.high_labels, point.mean, point.deviation))
            elif point.against_high_only is not None:
                rows.append((point.high_labels, point.against_high_only, point.ratio_deviation))
        _draw_curve(axis, rows, curve.label, index)
    counts = sorted({point.high_labels for curve in curves for point in curve.points})
    _style(axis, title, counts)


def _draw_curve(axis: Axes, rows: Sequence[tuple[int, float, float | None]], label: str, index: int) -> None:
    # Side by side, or the bars of several strategies hide one another.
    _, caps, bars = axis.errorbar(
        [count * (1 + 0.012 * (index - 2)) for count, *_ in rows],
        [value for _, value, _ in rows],
        yerr=[deviation or 0.0 for *_, deviation in rows],
        marker=MARKERS[index % len(MARKERS)],
        markersize=4,
        linewidth=1.4,
        elinewidth=0.8,
        capsize=2,
        color=PALETTE[index % len(PALETTE)],
        label=label,
    )
    # Where families differ more than strategies, the bars would cover the curves.
    for part in (*caps, *bars):
        part.set_alpha(0.35)


def _style(axis: Axes, title: str, counts: Sequence[int]) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("High-fidelity training labels")
    axis.set_ylabel(title)
    axis.grid(which="both", color="#e6e6e6", linewidth=0.6)
    axis.set_xticks(counts, [str(count) for count in counts])
    axis.xaxis.set_minor_locator(ticker.NullLocator())
    # Errors often span less than a decade, which would have one label or none.
    axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 3.0, 5.0, 7.0)))
    axis.yaxis.set_minor_locator(ticker.NullLocator())
    axis.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))


def draw_parity(outcomes: Sequence[RunOutcome], folder: Path) -> list[Path]:
    """Energies within a charge, label against model, of the runs with the most labels."""
    paths = []
    firsts = [o for o in outcomes if o.run.member == 0 and not o.run.chosen]
    for data in dict.fromkeys(outcome.run.data for outcome in firsts):
        mine = [outcome for outcome in firsts if outcome.run.data == data]
        most = max(outcome.run.high_labels for outcome in mine)
        schedule = mine[0].run.schedule
        chosen = [o for o in mine if (o.run.high_labels, o.run.schedule) == (most, schedule) and o.run.charge_embedding]
        labels = list(dict.fromkeys(outcome.run.label for outcome in chosen))
        if not labels:  # of that point only those without the charge are there yet
            continue
        figure, axes = plt.subplots(
            1,
            len(labels),
            figsize=(3.1 * len(labels), 3.3),
            squeeze=False,
            sharex=True,
            sharey=True,
            constrained_layout=True,
        )
        for axis, label in zip(axes[0], labels, strict=True):
            _draw_parity(axis, [outcome for outcome in chosen if outcome.run.label == label])
            axis.set_title(label, fontsize=9)
            axis.set_xlabel("label (meV/atom)")
        axes[0, 0].set_ylabel("model (meV/atom)")
        axes[0, 0].legend(frameon=False, fontsize=7)
        paths.append(save_figure(figure, folder, f"parity_{data}"))
    return paths


def _draw_parity(axis: Axes, outcomes: Sequence[RunOutcome]) -> None:
    """Each charge about the mean label of its held-out frames, so that constants show as offsets."""
    rows = [(key, n, label, model) for o in outcomes for key, n, label, model in o.frames]
    keys = sorted({key for key, *_ in rows}, key=lambda key: DefectKey.parse(key).place)
    for index, key in enumerate(keys):
        atoms, label, model = np.array([row[1:] for row in rows if row[0] == key]).T
        centre = label.mean()
        axis.plot(
            1e3 * (label - centre) / atoms,
            1e3 * (model - centre) / atoms,
            MARKERS[index % len(MARKERS)],
            markersize=3,
            alpha=0.7,
            color=PALETTE[index % len(PALETTE)],
            label=key,
        )
    low, high = axis.get_xlim()
    axis.plot([low, high], [low, high], color="#888888", linewidth=0.8, zorder=0)


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
