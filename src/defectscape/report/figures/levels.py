"""The level diagram: charge-transition levels in the gap, with labels that do not overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

from defectscape.report.figures.formation import fermi_range
from defectscape.report.figures.style import LEADER, Plot, colour, plot, styled
from defectscape.report.names import level_text, open_charges
from defectscape.summary.schema import Summary

LABEL_SHARE = 0.055
"""Smallest distance of two labels, as a fraction of the drawn energy range."""

COLUMN_IN, OPEN_COLUMN_IN = 1.15, 1.5
"""Width of a defect's column, inches; with room for labels that say "open"."""


def spread(values: Sequence[float], distance: float) -> list[float]:
    """Move values apart, as little as is needed, until neighbours differ by ``distance``.

    Groups that touch are centred on the mean of what they hold; order and length are kept.
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    groups: list[tuple[float, list[int]]] = []
    for index in order:
        centre, members = values[index], [index]
        while groups:
            before, held = groups[-1]
            if centre - before >= distance * (len(members) + len(held)) / 2 - 1e-12:
                break
            groups.pop()
            members = held + members
            centre = sum(values[i] for i in members) / len(members)
        groups.append((centre, members))
    moved = [0.0] * len(values)
    for centre, members in groups:
        for place, index in enumerate(members):
            moved[index] = centre + distance * (place - (len(members) - 1) / 2)
    return moved


@dataclass(frozen=True)
class LevelMark:
    """A level in the level diagram.

    Attributes:
        column: index of its defect.
        text: charges it separates, ``0/−1``.
        level_eV, uncertainty_eV: above the valence band maximum, eV.
        label_eV: height of its label, moved away from its neighbours', eV.
        stable: whether it lies on the hull of stable charge states.
        open_states: the charge states that it rests on and that are open, in words.
    """

    column: int
    text: str
    level_eV: float
    uncertainty_eV: float
    label_eV: float
    stable: bool
    open_states: str = ""


def level_marks(summary: Summary) -> tuple[LevelMark, ...]:
    """Levels inside the gap, with labels that do not overlap."""
    low, high = fermi_range(summary)
    marks: list[LevelMark] = []
    columns = dict.fromkeys(level.defect for level in summary.levels)
    for column, name in enumerate(columns):
        found = [row for row in summary.levels if row.defect == name and row.in_gap]
        labels = spread([row.level_eV for row in found], LABEL_SHARE * (high - low))
        for row, label in zip(found, labels, strict=True):
            text = level_text(row)
            rests_on = open_charges(summary, row)
            marks.append(LevelMark(column, text, row.level_eV, row.uncertainty_eV, label, row.stable, rests_on))
    return tuple(marks)


@styled
def draw_levels(summary: Summary) -> Plot:
    """Levels in the gap with their uncertainties; those never stable dotted, in brackets."""
    names = list(dict.fromkeys(level.defect for level in summary.levels))
    marks = level_marks(summary)
    column_in = OPEN_COLUMN_IN if any(mark.open_states for mark in marks) else COLUMN_IN
    drawn = plot(max(3.2, 0.8 + column_in * len(names)), 3.8)
    axes = drawn.axes
    low, high = fermi_range(summary)
    for start, end, text in ((low, 0.0, "VBM"), (summary.host.gap_eV, high, "CBM")):
        axes.axhspan(start, end, color="#dddddd", lw=0)
        axes.text(-0.47, (start + end) / 2, text, va="center_baseline", fontsize=8)
    for mark in marks:
        _draw_level(drawn, mark, names[mark.column])
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.set(xlim=(-0.5, max(len(names), 1) - 0.5), ylim=(low, high))
    axes.set_ylabel("Energy above VBM (eV)")
    drawn.finish()
    return drawn


def _draw_level(drawn: Plot, mark: LevelMark, name: str) -> None:
    """One level: its line, its error bar, and its label with a leader."""
    axes, tint = drawn.axes, colour(mark.column)
    left, right = mark.column - 0.4, mark.column - 0.02
    width, dash = (2.4, "-") if mark.stable else (1.2, ":")
    axes.plot([left, right], [mark.level_eV] * 2, lw=width, ls=dash, color=tint)
    axes.errorbar((left + right) / 2, mark.level_eV, mark.uncertainty_eV, capsize=3, lw=1, color=tint)
    axes.plot([right, mark.column + 0.05], [mark.level_eV, mark.label_eV], color=LEADER, lw=0.7)
    text = mark.text if mark.stable else f"({mark.text})"
    text += " open" if mark.open_states else ""
    axes.text(mark.column + 0.07, mark.label_eV, text, va="center_baseline", fontsize=8)
    stands = "" if mark.stable else ", never the most stable"
    stands += f"; open: charge {mark.open_states}" if mark.open_states else ""
    title = f"{name} {mark.text}: {mark.level_eV:.3f} ± {mark.uncertainty_eV:.3f} eV{stands}"
    drawn.hover_line([left, right], [mark.level_eV] * 2, title)
