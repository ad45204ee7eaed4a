"""Where each start led: the relaxations of one defect as strips of energies."""

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap

from defectscape.report.figures.style import Plot, colour, marker, plot, styled
from defectscape.report.names import charge_text
from defectscape.summary.schema import SearchPoint, Summary

NAME_CHARACTERS = 26
"""Longest line of a start's name beside the axis; the hover text has it whole."""


@dataclass(frozen=True)
class Strip:
    """Relaxations of one defect for the strip plot.

    Attributes:
        starts: names of the starts, by the lowest energy they reached, lowest first.
        window_eV: drawn energy range; it covers every converged relaxation.
        points: the relaxations.
        drawn_eV: energy at which each point is drawn: its own, moved to the nearer edge if outside.
    """

    starts: tuple[str, ...]
    window_eV: tuple[float, float]
    points: tuple[SearchPoint, ...]
    drawn_eV: tuple[float, ...]


def search_strip(points: Iterable[SearchPoint]) -> Strip:
    """Arrange relaxations by start; energies of failed ones never stretch the axis."""
    kept = tuple(points)
    good = [point.energy_above_lowest_eV for point in kept if point.converged] or [0.0]
    span = max(max(good) - min(good), 0.05)
    window = (min(good) - 0.1 * span, max(good) + 0.1 * span)
    low, high = window[0] + 0.04 * span, window[1] - 0.04 * span
    best: dict[str, float] = {}
    for point in kept:
        energy = point.energy_above_lowest_eV if point.converged else window[1]
        best[point.start] = min(best.get(point.start, window[1]), energy)
    drawn = tuple(min(max(point.energy_above_lowest_eV, low), high) for point in kept)
    return Strip(tuple(sorted(best, key=lambda name: best[name])), window, kept, drawn)


def search_by_defect(summary: Summary) -> dict[str, Strip]:
    """One strip per defect; its charge states share it."""
    owner = {row.key: row.defect for row in summary.defects}
    found: dict[str, list[SearchPoint]] = {}
    for point in summary.search:
        found.setdefault(owner.get(point.key, point.key), []).append(point)
    return {name: search_strip(points) for name, points in found.items()}


@styled
def draw_search(summary: Summary, defect: str, strip: Strip) -> Plot:
    """Energy of each relaxation of one defect against its start; failures as crosses."""
    charges = {row.key: row.charge for row in summary.defects}
    keys = sorted({p.key for p in strip.points}, key=lambda key: (-charges.get(key, 0), key))
    rows = len(strip.starts)
    drawn = plot(4.6, 0.9 + rows * max(0.3, 0.09 * len(keys)), f"{defect}: where each start led")
    for index, key in enumerate(keys):
        shift = 0.7 * ((index + 0.5) / len(keys) - 0.5)
        for converged in (True, False):
            chosen = [
                (point, drawn_eV, strip.starts.index(point.start) + shift)
                for point, drawn_eV in zip(strip.points, strip.drawn_eV, strict=True)
                if point.key == key and point.converged is converged
            ]
            (points,) = drawn.axes.plot(
                [x for _, x, _ in chosen],
                [y for _, _, y in chosen],
                marker(index) if converged else "x",
                ls="none",
                ms=4 if converged else 5,
                color=colour(index),
                label=_state(key, charges) if converged else None,
            )
            drawn.hover(
                points,
                [f"{p.key}, {p.start}: {p.energy_above_lowest_eV:.3f} eV, {p.reason}" for p, *_ in chosen],
            )
    drawn.axes.set_yticks(range(rows), [_short(name) for name in strip.starts])
    drawn.axes.set(xlim=strip.window_eV, ylim=(rows - 0.5, -0.5), xlabel="Energy above lowest (eV)")
    drawn.axes.grid(axis="y")
    drawn.finish()
    return drawn


def _state(key: str, charges: dict[str, int]) -> str:
    return f"q = {charge_text(charges[key])}" if key in charges else key


def _short(name: str) -> str:
    """A long name on at most two lines."""
    return "\n".join(wrap(name, NAME_CHARACTERS, max_lines=2, placeholder=" …"))
