"""Concentrations: what is frozen in, against the temperature of annealing."""

import math
from dataclasses import dataclass

from matplotlib.ticker import FuncFormatter

from defectscape.report.figures.style import EDGE, WIDTH_IN, Plot, colour, marker, plot, styled
from defectscape.report.names import defect_names
from defectscape.report.tables.table import power_of_ten
from defectscape.summary.schema import Summary

LOWEST_CM3 = 1e4
"""Concentrations below this say nothing that a sample could show; the axis ends there."""

CARRIER_DASHES = {"electrons": "--", "holes": ":"}


@dataclass(frozen=True)
class ConcentrationCurve:
    """What is there after quenching, against the temperature of annealing.

    Attributes:
        name: a defect, all its charges together; ``electrons`` or ``holes``.
        index: number of the defect; None for carriers.
        annealing_K: temperatures, ascending, K.
        values_cm3: concentrations; NaN below ``LOWEST_CM3``.
    """

    name: str
    index: int | None
    annealing_K: tuple[float, ...]
    values_cm3: tuple[float, ...]


def concentration_limits(summary: Summary) -> tuple[str, ...]:
    """Limits that were annealed at more than one temperature: those with something to draw."""
    names = [row.limit for row in summary.equilibria]
    return tuple(name for name in dict.fromkeys(names) if names.count(name) > 1)


def concentration_curves(summary: Summary, limit: str) -> tuple[ConcentrationCurve, ...]:
    """Total of every defect, electrons and holes in one limit."""
    rows = sorted((row for row in summary.equilibria if row.limit == limit), key=lambda row: row.annealing_K)
    found: list[tuple[str, int | None, list[float]]] = [
        (
            name,
            index,
            [sum(s.operating_cm3 for s in row.states if s.defect == name) for row in rows],
        )
        for index, name in enumerate(defect_names(summary))
    ]
    found.append(("electrons", None, [row.electrons_cm3 for row in rows]))
    found.append(("holes", None, [row.holes_cm3 for row in rows]))
    temperatures = tuple(row.annealing_K for row in rows)
    return tuple(
        ConcentrationCurve(
            name,
            index,
            temperatures,
            tuple(value if value >= LOWEST_CM3 else math.nan for value in values),
        )
        for name, index, values in found
    )


@styled
def draw_concentrations(summary: Summary, limit: str) -> Plot:
    """Total of every defect, electrons and holes after quenching, in one limit."""
    drawn = plot(WIDTH_IN, 3.2, limit)
    for curve in concentration_curves(summary, limit):
        carrier = curve.index is None
        (line,) = drawn.axes.semilogy(
            curve.annealing_K,
            curve.values_cm3,
            label=curve.name,
            ms=5,
            lw=1.6,
            color=EDGE if curve.index is None else colour(curve.index),
            marker="." if curve.index is None else marker(curve.index),
            ls=CARRIER_DASHES[curve.name] if carrier else "-",
        )
        points = zip(curve.annealing_K, curve.values_cm3, strict=True)
        drawn.hover(
            line,
            [f"{curve.name}, {x:.0f} K: {power_of_ten(y, 1)} cm⁻³" for x, y in points if math.isfinite(y)],
        )
    drawn.axes.set(xlabel="Annealed at (K)", ylabel="After quenching (cm⁻³)")
    drawn.axes.yaxis.set_major_formatter(FuncFormatter(_power))
    drawn.axes.grid()
    drawn.finish()
    return drawn


def _power(value: float, _: int) -> str:
    """A tick of the logarithmic axis: 10¹⁵."""
    return power_of_ten(value, 0).removeprefix("1 × ")
