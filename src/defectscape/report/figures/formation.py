"""Formation energies against the Fermi level: lines of the charge states, and their lower envelope."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from defectscape.domain.envelope import crossing_eV, lowest_lines
from defectscape.report.figures.style import (
    BAND,
    EDGE,
    WIDTH_IN,
    Plot,
    colour,
    ink,
    marker,
    plot,
    styled,
)
from defectscape.report.names import charge_text, defect_names, key_text
from defectscape.summary.schema import Summary

CHARGE_LABEL_SHARE = 0.1
"""Shortest piece of a hull that shows its charge, as a fraction of the drawn Fermi range."""


@dataclass(frozen=True)
class ChargeLine:
    """Formation energy of one charge state: a line in E_F whose slope is the charge.

    Attributes:
        charge: units of e.
        energy_eV: formation energy at the valence band maximum, eV.
        uncertainty_eV: its standard uncertainty, eV.
    """

    charge: int
    energy_eV: float
    uncertainty_eV: float = 0.0

    def at(self, fermi_eV: float) -> float:
        """Formation energy at a Fermi level above the valence band maximum, eV."""
        return self.energy_eV + self.charge * fermi_eV


@dataclass(frozen=True)
class Envelope:
    """The most stable charge state against the Fermi level.

    Attributes:
        fermi_eV: corners, both ends included, eV above the valence band maximum.
        energy_eV: formation energy at the corners, eV.
        lines: the charge state between corner i and i + 1; one fewer than corners.
    """

    fermi_eV: tuple[float, ...]
    energy_eV: tuple[float, ...]
    lines: tuple[ChargeLine, ...]

    @property
    def kinks_eV(self) -> tuple[float, ...]:
        """The corners between the ends: the stable transition levels in the range, eV."""
        return self.fermi_eV[1:-1]


def lower_envelope(lines: Sequence[ChargeLine], low_eV: float, high_eV: float) -> Envelope:
    """Lowest formation energy over ``low_eV <= E_F <= high_eV`` (exact, no grid).

    Raises:
        ValueError: without a line, or for an empty range.
    """
    if not lines or not low_eV < high_eV:
        raise ValueError("an envelope needs at least one line and low_eV < high_eV")
    hull = lowest_lines(lines)
    crossings_eV = [crossing_eV(upper, lower) for upper, lower in pairwise(hull)]
    inside_eV = [value for value in crossings_eV if low_eV < value < high_eV]
    first = sum(value <= low_eV for value in crossings_eV)
    chosen = hull[first : first + len(inside_eV) + 1]
    corners = (low_eV, *inside_eV, high_eV)
    before = [chosen[0], *chosen]
    energies = tuple(line.at(x) for line, x in zip(before, corners, strict=True))
    return Envelope(corners, energies, chosen)


def energy_range(hulls: Iterable[Envelope]) -> tuple[float, float]:
    """Drawn range of formation energies, eV: the hulls with room above them for the next charges."""
    energies = [energy for hull in hulls for energy in hull.energy_eV] or [0.0]
    span = max(max(energies) - min(energies), 0.5)
    return min(energies) - 0.08 * span, max(energies) + 0.3 * span


def formation_lines(summary: Summary, limit: str) -> dict[str, tuple[ChargeLine, ...]]:
    """Per defect, the lines of its charge states at one limit, most positive charge first."""
    lines: dict[str, list[ChargeLine]] = {}
    for row in summary.defects:
        if limit in row.formation_energy_eV:
            line = ChargeLine(row.charge, row.formation_energy_eV[limit], row.uncertainty_eV)
            lines.setdefault(row.defect, []).append(line)
    return {name: tuple(sorted(found, key=lambda line: -line.charge)) for name, found in lines.items()}


def fermi_range(summary: Summary) -> tuple[float, float]:
    """Drawn range of the Fermi level: the gap and a twelfth of it on either side, eV."""
    margin = max(summary.host.gap_eV, 0.1) / 12
    return -margin, max(summary.host.gap_eV, 0.1) + margin


@styled
def draw_formation(summary: Summary, limit: str) -> Plot:
    """Formation energies at one limit: the most stable charge states thick, every charge thin."""
    drawn = plot(WIDTH_IN, 3.5, limit)
    axes = drawn.axes
    low, high = fermi_range(summary)
    for start, end in ((low, 0.0), (summary.host.gap_eV, high)):
        axes.axvspan(start, end, color=BAND, lw=0)
    for edge in (0.0, summary.host.gap_eV):
        axes.axvline(edge, color=EDGE, lw=0.7, ls=":")
    names = defect_names(summary)
    hulls: list[Envelope] = []
    for name, lines in formation_lines(summary, limit).items():
        index = names.index(name)
        for line in lines:
            ends = [line.at(low), line.at(high)]
            axes.plot([low, high], ends, color=colour(index), lw=0.6, alpha=0.45)
        hulls.append(lower_envelope(lines, low, high))
        _draw_hull(drawn, index, name, hulls[-1])
    axes.set(xlim=(low, high), ylim=energy_range(hulls))
    axes.set(xlabel="Fermi level above VBM (eV)", ylabel="Formation energy (eV)")
    drawn.finish()
    return drawn


def _draw_hull(drawn: Plot, index: int, name: str, hull: Envelope) -> None:
    """The hull with its uncertainty as a band, a marker at each kink, the charge on each piece."""
    tint = colour(index)
    drawn.axes.plot(hull.fermi_eV, hull.energy_eV, lw=2, label=name, color=tint)
    corners = zip(hull.fermi_eV, hull.energy_eV, strict=True)
    for line, ((x0, y0), (x1, y1)) in zip(hull.lines, pairwise(corners), strict=True):
        bar = line.uncertainty_eV
        drawn.axes.fill_between([x0, x1], [y0 - bar, y1 - bar], [y0 + bar, y1 + bar], alpha=0.2, lw=0, color=tint)
        if x1 - x0 > CHARGE_LABEL_SHARE * (hull.fermi_eV[-1] - hull.fermi_eV[0]):
            middle = (x0 + x1) / 2, (y0 + y1) / 2
            # above the line: to its left where it rises, to its right where it falls
            aside = -7 if line.charge > 0 else 7 if line.charge < 0 else 0
            drawn.axes.annotate(
                charge_text(line.charge),
                middle,
                xytext=(aside, 4),
                textcoords="offset points",
                ha="center",
                color=ink(index),
                fontsize=8,
            )
        text = f"{key_text(name, line.charge)}: {line.energy_eV:.3f} ± {bar:.3f} eV at the VBM"
        drawn.hover_line([x0, x1], [y0, y1], text)
    kinks = list(zip(hull.kinks_eV, hull.energy_eV[1:-1], strict=True))
    if kinks:
        (points,) = drawn.axes.plot(*zip(*kinks, strict=True), marker(index), ms=5, zorder=3, color=tint)
        titles = [
            f"{name} {charge_text(before.charge)}/{charge_text(after.charge)}: E_F = {x:.3f} eV, E_form = {y:.3f} eV"
            for (before, after), (x, y) in zip(pairwise(hull.lines), kinks, strict=True)
        ]
        drawn.hover(points, titles)
