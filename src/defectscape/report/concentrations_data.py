"""What figures of concentrations show, as plain numbers."""

from dataclasses import dataclass

from defectscape.report.figures_data import defect_names
from defectscape.summary.schema import Summary

LOWEST_CM3 = 1e4
"""Concentrations below this say nothing that a sample could show; the axis ends there."""


@dataclass(frozen=True)
class ConcentrationCurve:
    """What is there after quenching, against the temperature of annealing.

    Attributes:
        name: a defect, all its charges together; ``electrons`` or ``holes``.
        index: number of the defect; None for carriers.
        annealing_K: temperatures, ascending, K.
        values_cm3: concentrations; None below ``LOWEST_CM3``.
    """

    name: str
    index: int | None
    annealing_K: tuple[float, ...]
    values_cm3: tuple[float | None, ...]


def concentration_limits(summary: Summary) -> tuple[str, ...]:
    """Limits that were annealed at more than one temperature: those with something to draw."""
    names = [row.limit for row in summary.equilibria]
    return tuple(name for name in dict.fromkeys(names) if names.count(name) > 1)


def concentration_curves(summary: Summary, limit: str) -> tuple[ConcentrationCurve, ...]:
    """Total of every defect, electrons and holes in one limit."""
    rows = sorted(
        (row for row in summary.equilibria if row.limit == limit), key=lambda row: row.annealing_K
    )
    found: list[tuple[str, int | None, list[float]]] = [
        (
            name, index,
            [sum(s.operating_cm3 for s in row.states if s.defect == name) for row in rows],
        )
        for index, name in enumerate(defect_names(summary))
    ]  # fmt: skip
    found.append(("electrons", None, [row.electrons_cm3 for row in rows]))
    found.append(("holes", None, [row.holes_cm3 for row in rows]))
    temperatures = tuple(row.annealing_K for row in rows)
    return tuple(
        ConcentrationCurve(
            name, index, temperatures,
            tuple(value if value >= LOWEST_CM3 else None for value in values),
        )
        for name, index, values in found
    )  # fmt: skip
