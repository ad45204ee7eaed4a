"""Training of the final committee: validation errors against optimiser steps."""

from collections.abc import Sequence
from typing import Literal

from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from defectscape.report.figures.style import DASHES, WIDTH_IN, Plot, colour, plot, styled
from defectscape.summary.schema import CurvePoint, Summary, TrainingCurve

Quantity = Literal["energy", "force"]
UNITS: dict[Quantity, str] = {"energy": "meV/atom", "force": "meV/Å"}


def training_by_group(summary: Summary) -> dict[str, tuple[TrainingCurve, ...]]:
    """Training curves per committee: ``final/0`` and ``final/1`` belong to ``final``."""
    groups: dict[str, list[TrainingCurve]] = {}
    for curve in summary.training:
        groups.setdefault(curve.model.rpartition("/")[0] or curve.model, []).append(curve)
    return {name: tuple(curves) for name, curves in groups.items()}


def final_curves(summary: Summary) -> tuple[TrainingCurve, ...]:
    """Curves of the final committee; those of the last group if none is called final."""
    groups = training_by_group(summary)
    if not groups:
        return ()
    return groups.get("final", groups[list(groups)[-1]])


def training_errors(point: CurvePoint, quantity: Quantity) -> dict[str, float]:
    """Validation errors per head, meV/atom for energies and meV/Å for forces."""
    return point.energy_rmse_meV_atom if quantity == "energy" else point.force_rmse_meV_A


@styled
def draw_training(curves: Sequence[TrainingCurve], quantity: Quantity) -> Plot:
    """Validation error during training on a log scale: a colour for each head, a dash for each member."""
    drawn = plot(WIDTH_IN, 3.0, f"Validation on {'energies' if quantity == 'energy' else 'forces'}")
    unit = UNITS[quantity]
    heads = list(
        dict.fromkeys(head for curve in curves for point in curve.points for head in training_errors(point, quantity))
    )
    for member, curve in enumerate(curves):
        for index, head in enumerate(heads):
            pairs = [
                (point.step, errors[head])
                for point in curve.points
                if head in (errors := training_errors(point, quantity))
            ]
            if not pairs:
                continue
            steps, values = zip(*pairs, strict=True)
            name = f"{head}, {curve.model}"
            drawn.axes.semilogy(
                steps,
                values,
                lw=1.2,
                color=colour(index),
                ls=DASHES[member % len(DASHES)],
                label=name,
            )
            drawn.hover_line(steps, values, f"{name}: lowest {min(values):.2f}, last {values[-1]:.2f} {unit}")
    drawn.axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    drawn.axes.yaxis.set_major_formatter(ScalarFormatter())
    drawn.axes.yaxis.set_minor_formatter(NullFormatter())
    drawn.axes.set(xlabel="Optimiser step", ylabel=f"RMSE ({unit})")
    drawn.axes.grid()
    drawn.finish()
    return drawn
