"""Calibration: how many test errors are inside the committee's bars, before and after."""

from dataclasses import dataclass

from defectscape.report.figures.style import EDGE, WIDTH_IN, Plot, colour, plot, styled
from defectscape.report.tables.table import percent
from defectscape.summary.schema import CalibrationRow, Summary

SHORT_NAMES = {"force": "forces", "within": "within a charge", "between": "between charges"}
PROMISED_PERCENT = (68.27, 95.45)
"""Shares that one and two standard uncertainties of a normal distribution contain, %."""


@dataclass(frozen=True)
class CoverageBar:
    """Share of the test errors of one kind inside a bar of one width, %.

    Attributes:
        label: which errors, and how many should be inside.
        before_percent, after_percent: how many are, without and with calibration; None if not known.
    """

    label: str
    before_percent: float | None
    after_percent: float | None


def coverage_bars(summary: Summary) -> tuple[CoverageBar, ...]:
    """Coverage of the high fidelity's bars; none if uncalibrated."""
    return tuple(
        CoverageBar(f"{SHORT_NAMES.get(row.quantity, row.quantity)}, {promised}%", *shares)
        for row in summary.calibration
        if row.fidelity == summary.high.name and row.coverage68_after is not None
        for promised, shares in _shares(row)
    )


def _shares(row: CalibrationRow) -> tuple[tuple[int, tuple[float | None, float | None]], ...]:
    """Observed shares by the promised one, %: before and after."""
    return (
        (68, (percent(row.coverage68_before), percent(row.coverage68_after))),
        (95, (percent(row.coverage95_before), percent(row.coverage95_after))),
    )


@styled
def draw_calibration(summary: Summary) -> Plot:
    """Observed coverage of the high fidelity's bars before and after; dashed: what they promise."""
    bars = coverage_bars(summary)
    drawn = plot(max(WIDTH_IN, 0.8 + 0.7 * len(bars)), 3.2)
    sides = (
        ("spread as it is", [bar.before_percent for bar in bars]),
        ("calibrated", [bar.after_percent for bar in bars]),
    )
    for index, (name, values) in enumerate(sides):
        known = [(place, value) for place, value in enumerate(values) if value is not None]
        columns = drawn.axes.bar(
            [place + 0.38 * index - 0.19 for place, _ in known],
            [value for _, value in known],
            0.36,
            color=colour(index),
            label=name,
        )
        for column, (place, value) in zip(columns, known, strict=True):
            drawn.hover(column, [f"{bars[place].label}, {name}: {value:.0f}% inside"])
    for promised in PROMISED_PERCENT:
        drawn.axes.axhline(promised, color=EDGE, lw=0.8, ls="--")
    drawn.axes.set_xticks(
        range(len(bars)),
        [bar.label for bar in bars],
        rotation=30,
        ha="right",
        rotation_mode="anchor",
    )
    drawn.axes.set(ylim=(0, 104), ylabel="Test errors inside the bar (%)")
    drawn.finish()
    return drawn
