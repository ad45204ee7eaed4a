"""Tables and a figure of the calibration: from a committee's spread to an error bar."""

from dataclasses import dataclass

import plotly.graph_objects as go

from defectscape.report.figures_style import EDGE, base_figure, colour, literal
from defectscape.report.table import Column, Table
from defectscape.report.tables_results import milli
from defectscape.summary.schema import CalibrationRow, Summary

NAMES = {
    "force": "force component",
    "within": "energy difference within a charge",
    "between": "energy difference between charges",
}


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def calibration_table(summary: Summary) -> Table:
    """The factors, what they rest on, and the coverage before and after."""
    return Table(
        "calibration",
        "Factors from the final committee's spread to error bars, from validation families; coverage on test families.",
        (
            Column("Head"),
            Column("Quantity"),
            Column("Frames", digits=0),
            Column("Families", digits=0),
            Column("Factor", digits=2),
            Column("±", digits=2),
            Column("Test frames", digits=0),
            Column("Within 1 spread", "%", 0),
            Column("Within 2 spreads", "%", 0),
            Column("Within 68% bar", "%", 0),
            Column("Within 95% bar", "%", 0),
            Column("Rank correlation", digits=2),
            Column("Note"),
        ),
        tuple(
            (
                row.fidelity,
                NAMES.get(row.quantity, row.quantity),
                row.frames,
                row.families,
                row.factor68,
                row.factor68_std,
                row.test_frames,
                _percent(row.coverage68_before),
                _percent(row.coverage95_before),
                _percent(row.coverage68_after),
                _percent(row.coverage95_after),
                row.rank_correlation,
                row.reason,
            )
            for row in summary.calibration
        ),
    )


def level_test_table(summary: Summary) -> Table:
    """Levels that the searching committee predicted, against the engine's."""
    return Table(
        "level_tests",
        "Levels of the searching committee less the engine's, at the model's minima, before it had seen them.",
        (
            Column("Defect"),
            Column("Upper charge", "e", charge=True),
            Column("Lower charge", "e", charge=True),
            Column("Model less engine", "meV", 0),
            Column("Calibrated bar", "meV", 0),
            Column("In units of the bar", digits=1),
        ),
        tuple(
            (
                row.defect,
                row.upper_charge,
                row.lower_charge,
                milli(row.model_error_eV),
                milli(row.bar_eV),
                abs(row.model_error_eV) / row.bar_eV if row.bar_eV else None,
            )
            for row in summary.level_tests
        ),
    )


@dataclass(frozen=True)
class CoverageBar:
    """Share of the test errors of one kind inside a bar of one width, %.

    Attributes:
        label: which errors, and how many should be inside.
        before_percent, after_percent: how many are, without and with calibration.
    """

    label: str
    before_percent: float | None
    after_percent: float | None


def coverage_bars(summary: Summary) -> tuple[CoverageBar, ...]:
    """Coverage of the high fidelity's bars; none if uncalibrated."""
    return tuple(
        CoverageBar(
            _label(row, percent), _percent(getattr(row, f"coverage{percent}_before")),
            _percent(getattr(row, f"coverage{percent}_after")),
        )
        for row in summary.calibration
        if row.fidelity == summary.high.name and row.coverage68_after is not None
        for percent in (68, 95)
    )  # fmt: skip


def coverage_figure(summary: Summary) -> go.Figure | None:
    """Observed coverage of the high fidelity's bars before and after; None if uncalibrated."""
    bars = coverage_bars(summary)
    if not bars:
        return None
    figure = base_figure("", "Test errors inside the bar (%)", 360)
    labels = [bar.label for bar in bars]
    for index, (name, values) in enumerate(
        (
            ("spread as it is", [bar.before_percent for bar in bars]),
            ("calibrated", [bar.after_percent for bar in bars]),
        )
    ):
        figure.add_bar(
            x=labels,
            y=values,
            name=literal(name),
            marker={"color": colour(index)},
            hovertemplate="%{x}: %{y:.0f}%<extra>%{fullData.name}</extra>",
        )
    for percent in (68.27, 95.45):
        figure.add_hline(y=percent, line={"color": EDGE, "width": 1, "dash": "dash"})
    figure.update_layout(barmode="group", bargap=0.3)
    figure.update_yaxes(range=[0, 104])
    return figure


def _label(row: CalibrationRow, percent: int) -> str:
    short = {"force": "forces", "within": "within a charge", "between": "between charges"}
    return f"{short.get(row.quantity, row.quantity)}, {percent}%"
