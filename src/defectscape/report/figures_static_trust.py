"""Static figures of trust and cost: training, verification, calibration, time."""

from collections.abc import Callable

from matplotlib.figure import Figure

from defectscape.report.calibration import coverage_bars
from defectscape.report.figures_canvas import MARKERS, canvas, plain
from defectscape.report.figures_data import PALETTE
from defectscape.report.figures_trust_data import (
    final_curves,
    label_times,
    training_errors,
    verification_errors,
)
from defectscape.summary.schema import Summary


def figures(summary: Summary) -> dict[str, Callable[[Summary], Figure]]:
    """The figures that the summary has something for, by file name."""
    found: dict[str, tuple[object, Callable[[Summary], Figure]]] = {
        "training": (final_curves(summary), training),
        "verification": (verification_errors(summary), verification),
        "calibration": (coverage_bars(summary), calibration),
        "label_times": (summary.cost, label_time),
        "rule_times": (summary.jobs, rule_time),
    }
    return {name: draw for name, (something, draw) in found.items() if something}


def training(summary: Summary) -> Figure:
    """Validation errors of the final committee while it trained, per head and member."""
    figure, panels = canvas(2, 3.6, 3.0)
    styles = ("-", "--", ":", "-.")
    for axes, (what, unit) in zip(
        panels, (("energy", "meV/atom"), ("force", "meV/Å")), strict=True
    ):
        heads: dict[str, int] = {}
        for member, curve in enumerate(final_curves(summary)):
            for point in curve.points:
                for head in training_errors(point, what):
                    heads.setdefault(head, len(heads))
            for head, index in heads.items():
                pairs = [
                    (point.step, training_errors(point, what)[head])
                    for point in curve.points
                    if head in training_errors(point, what)
                ]
                axes.semilogy(
                    [step for step, _ in pairs], [value for _, value in pairs], lw=1.2,
                    color=PALETTE[index % len(PALETTE)], ls=styles[member % len(styles)],
                    label=f"{plain(head)}, {plain(curve.model)}",
                )  # fmt: skip
        axes.set(xlabel="Optimiser step", ylabel=f"Validation {what} RMSE ({unit})")
    panels[0].legend(fontsize=7)
    return figure


def verification(summary: Summary) -> Figure:
    """Model less engine at every minimum that the engine computed."""
    found = verification_errors(summary)
    names = list(dict.fromkeys(entry.key for entry in found))
    figure, (axes,) = canvas(1, max(3.4, 0.7 * len(names)), 3.0)
    for lowest, text in ((True, "model's lowest"), (False, "higher minima")):
        chosen = [entry for entry in found if (entry.rank == 0) is lowest]
        axes.plot(
            [names.index(entry.key) for entry in chosen], [entry.error_meV for entry in chosen],
            MARKERS[0 if lowest else 2], color=PALETTE[0 if lowest else 1], ls="none", label=text,
            mfc=None if lowest else "none",
        )  # fmt: skip
    axes.axhline(0, color="#444444", lw=0.8)
    axes.set_xticks(range(len(names)), [plain(name) for name in names], rotation=30, ha="right")
    axes.set_ylabel("Model less engine (meV)")
    axes.legend(fontsize=8)
    return figure


def calibration(summary: Summary) -> Figure:
    """Share of test errors inside the bars before and after calibration."""
    bars = coverage_bars(summary)
    figure, (axes,) = canvas(1, max(3.6, 1.0 * len(bars)), 3.0)
    for index, (name, field) in enumerate((("spread as it is", "before"), ("calibrated", "after"))):
        values = [getattr(bar, f"{field}_percent") or 0.0 for bar in bars]
        places = [place + 0.38 * index - 0.19 for place in range(len(bars))]
        axes.bar(places, values, 0.36, color=PALETTE[index], label=name)
    for percent in (68.27, 95.45):
        axes.axhline(percent, color="#444444", lw=0.8, ls="--")
    axes.set_xticks(range(len(bars)), [bar.label for bar in bars], rotation=30, ha="right")
    axes.set(ylim=(0, 104), ylabel="Test errors inside the bar (%)")
    axes.legend(fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def label_time(summary: Summary) -> Figure:
    """Core time of the labels by stage and level."""
    stages, parts = label_times(summary)
    figure, (axes,) = canvas(1, 4.6, 1.2 + 0.3 * len(stages))
    left = [0.0] * len(stages)
    for index, (name, values) in enumerate(parts.items()):
        axes.barh(stages, values, left=left, color=PALETTE[index % len(PALETTE)], label=plain(name))
        left = [a + b for a, b in zip(left, values, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("Core time of labels (s)")
    axes.legend(fontsize=8)
    return figure


def rule_time(summary: Summary) -> Figure:
    """Wall time of the rules."""
    rows = sorted(summary.jobs, key=lambda row: -row.wall_s)
    figure, (axes,) = canvas(1, 4.6, 1.0 + 0.25 * len(rows))
    axes.barh([plain(row.rule) for row in rows], [row.wall_s for row in rows], color=PALETTE[0])
    axes.invert_yaxis()
    axes.set_xlabel("Wall time (s)")
    return figure
