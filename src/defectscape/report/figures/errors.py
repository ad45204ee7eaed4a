"""Errors of the model: on held-out frames, at the minima found, and how many are inside the committee's bars."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from defectscape.report.figures.style import EDGE, WIDTH_IN, Plot, colour, marker, plot, styled
from defectscape.report.names import key_text
from defectscape.report.tables.table import percent
from defectscape.summary.schema import CalibrationRow, ParityData, Summary


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


@dataclass(frozen=True)
class VerificationError:
    """Model minus engine at one minimum that the model had not seen."""

    key: str
    rank: int
    error_meV: float


def verification_errors(summary: Summary) -> tuple[VerificationError, ...]:
    """One entry per minimum that the engine computed, in the order of the summary."""
    return tuple(
        VerificationError(key_text(row.defect, row.charge), entry.rank, 1e3 * entry.model_error_eV)
        for row in summary.defects
        for entry in row.minima
        if entry.model_error_eV is not None
    )


@styled
def draw_verification(summary: Summary) -> Plot:
    """Model minus engine for every minimum that the engine computed."""
    found = verification_errors(summary)
    names = list(dict.fromkeys(entry.key for entry in found))
    drawn = plot(max(WIDTH_IN, 0.6 + 0.45 * len(names)), 3.2)
    drawn.axes.axhline(0, color=EDGE, lw=0.8)
    for index, (lowest, text) in enumerate(((True, "model's lowest"), (False, "higher minima"))):
        chosen = [entry for entry in found if (entry.rank == 0) is lowest]
        (points,) = drawn.axes.plot(
            [names.index(entry.key) for entry in chosen],
            [entry.error_meV for entry in chosen],
            "oD"[index],
            ls="none",
            color=colour(index),
            mfc=None if lowest else "none",
            label=text,
        )
        drawn.hover(points, [f"{e.key}, rank {e.rank}: {e.error_meV:+.1f} meV" for e in chosen])
    drawn.axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    drawn.axes.set_ylabel("Model minus engine (meV)")
    drawn.axes.grid()
    drawn.finish()
    return drawn


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
