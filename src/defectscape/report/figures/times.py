"""Where the time went: core time of the labels, wall time of the rules."""

from collections.abc import Mapping, Sequence

from defectscape.report.figures.style import WIDTH_IN, Plot, colour, plot, styled
from defectscape.summary.schema import Summary


def label_times(summary: Summary) -> tuple[list[str], dict[str, list[float]]]:
    """Stages, and for each level the core time of its labels in each of them, s."""
    stages = list(dict.fromkeys(row.stage for row in summary.cost))
    parts = {
        name: [
            sum(row.core_s for row in summary.cost if (row.stage, row.fidelity) == (stage, name)) for stage in stages
        ]
        for name in dict.fromkeys(row.fidelity for row in summary.cost)
    }
    return stages, parts


def rule_times(summary: Summary) -> tuple[list[str], list[float]]:
    """Rules and their shares of the wall time, %, the largest first."""
    total = sum(row.wall_s for row in summary.jobs) or 1.0
    rows = sorted(summary.jobs, key=lambda row: -row.wall_s)
    return [row.rule for row in rows], [100 * row.wall_s / total for row in rows]


@styled
def draw_label_times(summary: Summary) -> Plot:
    """Core time of the labels per stage, split by level of theory."""
    stages, parts = label_times(summary)
    return _bars(stages, parts, "Core time of labels (s)", "s")


@styled
def draw_rule_times(summary: Summary) -> Plot:
    """Share of the workflow's wall time per rule."""
    rules, shares = rule_times(summary)
    return _bars(rules, {"": shares}, "Share of wall time (%)", "%")


def _bars(names: Sequence[str], parts: Mapping[str, Sequence[float]], label: str, unit: str) -> Plot:
    """Horizontal stacked bars, one for each name, the first on top."""
    drawn = plot(WIDTH_IN, 0.7 + 0.22 * len(names))
    left = [0.0] * len(names)
    for index, (part, values) in enumerate(parts.items()):
        bars = drawn.axes.barh(range(len(names)), values, 0.7, left=left, color=colour(index), label=part or None)
        for bar, name, value in zip(bars, names, values, strict=True):
            drawn.hover(bar, [f"{name}{', ' if part else ''}{part}: {value:,.1f} {unit}"])
        left = [a + b for a, b in zip(left, values, strict=True)]
    drawn.axes.set_yticks(range(len(names)), names)
    drawn.axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=label)
    drawn.axes.grid(axis="x")
    drawn.finish()
    return drawn
