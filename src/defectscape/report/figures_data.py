"""What the figures show, as plain numbers: envelopes, level positions, shifted curves, strips.

Both renderers, the interactive page and the static files, draw from these functions, so they cannot
disagree. Nothing here knows a plotting library.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from defectscape.summary.schema import CcdSummary, LevelSummary, SearchPoint, Summary

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colour-blind-safe colours (Okabe and Ito 2008), without the yellow that white paper swallows."""

CHARGE_LABEL_SHARE = 0.1
"""Shortest piece of a hull that shows its charge, as a fraction of the drawn Fermi range."""

LEVEL_LABEL_SHARE = 0.055
"""Smallest distance of two level labels, as a fraction of the drawn energy range."""


def charge_text(charge: int) -> str:
    """A charge for reading: ``+1``, ``0``, ``−2`` (true minus sign)."""
    return f"{charge:+d}".replace("-", "−") if charge else "0"


def key_text(defect: str, charge: int) -> str:
    """A defect in a charge state for reading: ``v_Cd (−2)``."""
    return f"{defect} ({charge_text(charge)})"


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
    now = min(lines, key=lambda line: (line.at(low_eV), line.charge))
    corners, chosen = [low_eV], [now]
    while True:
        steps = [
            ((other.energy_eV - now.energy_eV) / (now.charge - other.charge), other)
            for other in lines
            if other.charge < now.charge
        ]
        ahead = [step for step in steps if corners[-1] < step[0] < high_eV]
        if not ahead:
            break
        crossing, now = min(ahead, key=lambda step: (step[0], step[1].charge))
        corners.append(crossing)
        chosen.append(now)
    corners.append(high_eV)
    before = [chosen[0], *chosen]
    energies = tuple(line.at(x) for line, x in zip(before, corners, strict=True))
    return Envelope(tuple(corners), energies, tuple(chosen))


def energy_range(hulls: Iterable[Envelope]) -> tuple[float, float]:
    """Drawn range of formation energies, eV: the hulls with room above them for the next charges."""
    energies = [energy for hull in hulls for energy in hull.energy_eV] or [0.0]
    span = max(max(energies) - min(energies), 0.5)
    return min(energies) - 0.08 * span, max(energies) + 0.3 * span


def limits(summary: Summary) -> tuple[str, ...]:
    """Names of the chemical-potential limits, in the order of the summary."""
    names = dict.fromkeys(summary.chemical_potentials_eV)
    for row in summary.defects:
        names.update(dict.fromkeys(row.formation_energy_eV))
    return tuple(names)


def defect_names(summary: Summary) -> tuple[str, ...]:
    """Defect names in the order of the summary."""
    return tuple(dict.fromkeys(row.defect for row in summary.defects))


def formation_lines(summary: Summary, limit: str) -> dict[str, tuple[ChargeLine, ...]]:
    """Per defect, the lines of its charge states at one limit, most positive charge first."""
    lines: dict[str, list[ChargeLine]] = {}
    for row in summary.defects:
        if limit in row.formation_energy_eV:
            line = ChargeLine(row.charge, row.formation_energy_eV[limit], row.uncertainty_eV)
            lines.setdefault(row.defect, []).append(line)
    return {
        name: tuple(sorted(found, key=lambda line: -line.charge)) for name, found in lines.items()
    }


def fermi_range(summary: Summary) -> tuple[float, float]:
    """Drawn range of the Fermi level: the gap and a twelfth of it on either side, eV."""
    margin = max(summary.host.gap_eV, 0.1) / 12
    return -margin, max(summary.host.gap_eV, 0.1) + margin


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
    """

    column: int
    text: str
    level_eV: float
    uncertainty_eV: float
    label_eV: float
    stable: bool


def level_text(level: LevelSummary) -> str:
    """The charges a level separates, the more positive first: ``0/−1``."""
    return f"{charge_text(level.upper_charge)}/{charge_text(level.lower_charge)}"


def level_marks(summary: Summary) -> tuple[LevelMark, ...]:
    """Levels inside the gap, with labels that do not overlap."""
    low, high = fermi_range(summary)
    marks: list[LevelMark] = []
    columns = dict.fromkeys(level.defect for level in summary.levels)
    for column, name in enumerate(columns):
        found = [row for row in summary.levels if row.defect == name and row.in_gap]
        labels = spread([row.level_eV for row in found], LEVEL_LABEL_SHARE * (high - low))
        for row, label in zip(found, labels, strict=True):
            text = level_text(row)
            marks.append(
                LevelMark(column, text, row.level_eV, row.uncertainty_eV, label, row.stable)
            )
    return tuple(marks)


@dataclass(frozen=True)
class CcdCurves:
    """Both curves of a configuration-coordinate diagram on one energy scale, E_F = VBM.

    The initial charge's minimum is at 0; the final one's at ``offset_eV``. Checks are the engine's
    points, as (Q, energy).
    """

    Q_amu05_A: tuple[float, ...]
    initial_eV: tuple[float, ...]
    final_eV: tuple[float, ...]
    offset_eV: float
    initial_checks: tuple[tuple[float, float], ...] = ()
    final_checks: tuple[tuple[float, float], ...] = ()
    initial_model_eV: tuple[float, ...] = ()
    final_model_eV: tuple[float, ...] = ()


def ccd_curves(ccd: CcdSummary) -> CcdCurves:
    """Put the two curves of a pair into their relative position.

    At the level e(q/q') both formation energies E_q + q E_F agree, so at E_F = VBM the final state
    lies (q_initial - q_final) * e above the initial one.
    """
    offset = (ccd.initial_charge - ccd.final_charge) * ccd.level_eV
    final = tuple(energy + offset for energy in ccd.final_eV)
    return CcdCurves(
        tuple(ccd.Q_amu05_A), tuple(ccd.initial_eV), final, offset,
        tuple((point.Q_amu05_A, point.engine_eV) for point in ccd.initial_checks),
        tuple((point.Q_amu05_A, point.engine_eV + offset) for point in ccd.final_checks),
        tuple(ccd.initial_model_eV), tuple(energy + offset for energy in ccd.final_model_eV),
    )  # fmt: skip


def ccd_text(ccd: CcdSummary) -> str:
    """Name of a pair: ``v_Cd: 0 to −1``."""
    return f"{ccd.defect}: {charge_text(ccd.initial_charge)} to {charge_text(ccd.final_charge)}"


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
