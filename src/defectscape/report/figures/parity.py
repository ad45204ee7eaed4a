"""Parity: the model against the engine on held-out frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from defectscape.report.figures.style import EDGE, WIDTH_IN, Plot, colour, marker, plot, styled
from defectscape.summary.schema import ParityData, Summary


@dataclass(frozen=True)
class Quantity:
    """What is compared.

    Attributes:
        name: ``energies`` or ``force components``.
        unit: its unit.
        caption: what the figure's title says of it.
    """

    name: str
    unit: str
    caption: str


ENERGIES = Quantity("energies", "meV/atom", "energies, mean of each key removed")
FORCES = Quantity("force components", "eV/Å", "force components")


def parity_by_fidelity(summary: Summary) -> dict[str, tuple[ParityData, ...]]:
    """Held-out pairs per head; the high fidelity first."""
    order = (summary.high.name, summary.low.name)
    names = sorted(
        dict.fromkeys(entry.fidelity for entry in summary.parity),
        key=lambda name: order.index(name) if name in order else len(order),
    )
    return {name: tuple(entry for entry in summary.parity if entry.fidelity == name) for name in names}


def parity_values(entry: ParityData, quantity: Quantity) -> tuple[list[float], list[float]]:
    """Engine and model values of one key."""
    if quantity == ENERGIES:
        return entry.energy_reference_meV_atom, entry.energy_model_meV_atom
    return entry.force_reference_eV_A, entry.force_model_eV_A


@styled
def draw_parity(head: str, entries: Sequence[ParityData], quantity: Quantity) -> Plot:
    """Model against engine of one head; energies one by one on hover, forces as a cloud."""
    drawn = plot(WIDTH_IN, 3.9, f"{head}: {quantity.caption}")
    seen = [value for entry in entries for values in parity_values(entry, quantity) for value in values]
    low, high = min(seen, default=0.0), max(seen, default=1.0)
    margin = 0.04 * (high - low or 1.0)
    ends = (low - margin, high + margin)
    drawn.axes.plot(ends, ends, color=EDGE, lw=0.8)
    for index, entry in enumerate(entries):
        x, y = parity_values(entry, quantity)
        if quantity == FORCES:
            drawn.cloud(x, y, index, entry.key, f"{entry.key}: {_rms(x, y):.3f} eV/Å RMSE of {len(x)} drawn")
            continue
        (points,) = drawn.axes.plot(
            x,
            y,
            marker(index),
            ls="none",
            ms=4,
            alpha=0.6,
            mew=0,
            color=colour(index),
            label=entry.key,
        )
        pairs = zip(x, y, strict=True)
        drawn.hover(points, [f"{entry.key}: engine {a:.2f}, model {b:.2f} meV/atom" for a, b in pairs])
    drawn.axes.set(xlim=ends, ylim=ends, aspect="equal")
    drawn.axes.set(xlabel=f"Engine ({quantity.unit})", ylabel=f"Model ({quantity.unit})")
    drawn.finish()
    return drawn


def _rms(first: Sequence[float], second: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.subtract(first, second) ** 2))) if first else 0.0
