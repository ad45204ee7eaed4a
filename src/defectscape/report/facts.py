"""What the page states in words about a study: what it is, what stands out, what is open, what a partial page lacks."""

from dataclasses import dataclass
from itertools import pairwise

from defectscape.domain.keys import DefectKey
from defectscape.report.names import CERTAIN, OPEN, charge_text, key_text
from defectscape.report.tables.structures import GAIN_LIMIT_MEV
from defectscape.report.tables.table import number
from defectscape.summary.schema import LevelOfTheory, Summary, UnfinishedRow

TIGHT_BINDING = "tblite"


@dataclass(frozen=True)
class Fact:
    """A number with its name, for the head of the page."""

    value: str
    text: str


def level_name(level: LevelOfTheory) -> str:
    """True name of a level of theory."""
    return f"{level.method} ({level.engine})"


def theory_note(summary: Summary) -> str | None:
    """What must be said when a level is tight binding and not density-functional theory."""
    levels = [level for level in (summary.low, summary.high) if level.engine == TIGHT_BINDING]
    if not levels:
        return None
    methods = " and ".join(dict.fromkeys(level.method for level in levels))
    stand = {summary.low.name: "PBE", summary.high.name: "HSE06"}
    places = " and ".join(stand[level.name] for level in levels)
    if len(levels) > 1:
        verdict = "They stand", "are not density-functional calculations"
    else:
        verdict = "It stands", "is not a density-functional calculation"
    return (
        f"{methods}, computed with tblite, {'are' if len(levels) > 1 else 'is'} extended tight "
        f"binding. {verdict[0]} where {places} would stand in a production study and {verdict[1]}: "
        "the energies, levels and geometries below show how the method works, not what the "
        "material does."
    )


def key_facts(summary: Summary) -> tuple[Fact, ...]:
    """The handful of numbers that describe the study."""
    rows = summary.defects
    found = [row.gain_over_unperturbed_eV for row in rows]
    gains = [gain for gain in found if gain is not None]
    labels = {
        name: sum(row.labels for row in summary.cost if row.fidelity == name)
        for name in (summary.high.name, summary.low.name)
    }
    facts = [
        Fact(
            f"{sum(row.trust != OPEN for row in rows)} of {len(rows)}",
            f"ground states verified; {sum(row.trust == CERTAIN for row in rows)} certain, "
            f"{sum(row.trust == OPEN for row in rows)} open",
        ),
        Fact(
            f"{sum(1e3 * gain > GAIN_LIMIT_MEV for gain in gains)} of {len(rows)}",
            f"lie over {GAIN_LIMIT_MEV:.0f} meV below the unperturbed relaxation",
        ),
    ]
    if gains:
        facts.append(Fact(f"{number(max(gains), 3)} eV", "largest gain"))
    error = next((e for e in summary.errors if e.fidelity == summary.high.name and e.defect == "all"), None)
    if error:
        facts.append(
            Fact(
                f"{number(error.energy_rmse_meV_atom, 1)} meV/atom",
                f"held-out energy RMSE, {summary.high.name}; "
                f"{number(error.energy_rmse_shifted_meV_atom, 1)} within a charge state",
            )
        )
        facts.append(
            Fact(
                f"{number(error.force_rmse_meV_A, 1)} meV/Å",
                f"held-out force RMSE, {summary.high.name}",
            )
        )
    facts += [Fact(number(count, 0), f"{name} labels") for name, count in labels.items()]
    relaxations = sum(row.relaxations for row in rows)
    facts.append(Fact(number(relaxations, 0), "relaxations with the model"))
    return tuple(facts)


def not_verified(summary: Summary) -> tuple[str, ...]:
    """Everything on the page that rests on the model alone, or on nothing."""
    found: dict[str, list[str]] = {}
    reasons: dict[str, dict[str, list[str]]] = {}
    for row in summary.defects:
        name = key_text(row.defect, row.charge)
        unseen = sum(entry.verified_energy_eV is None for entry in row.minima)
        if row.trust != CERTAIN and row.certainty:
            what = "Ground state open" if row.trust == OPEN else "Ground state not certain"
            reasons.setdefault(what, {}).setdefault(row.certainty, []).append(name)
        if not row.verified:
            found.setdefault("Ground state from the model alone", []).append(name)
        if row.gain_over_unperturbed_eV is None:
            found.setdefault("No gain: the unperturbed relaxation failed", []).append(name)
        elif not row.gain_verified:
            found.setdefault("Gain from the model alone", []).append(name)
        if unseen:
            text = f"{name} {unseen} of {len(row.minima)}"
            found.setdefault("Minima from the model alone", []).append(text)
    items = []
    for what, by_reason in reasons.items():
        parts = [f"{', '.join(names)} ({why})" for why, names in by_reason.items()]
        items.append(f"{what}: {'; '.join(parts)}.")
    items += [f"{what}: {', '.join(names)}." for what, names in found.items()]
    for source in dict.fromkeys(row.source for row in summary.ccd):
        items.append(f"Configuration-coordinate curves: energies from {source}.")
    for label in dict.fromkeys(row.correction_label for row in summary.defects):
        items.append(f"Finite-size correction: {label}.")
    return tuple(items)


def starts_tried(summary: Summary) -> tuple[str, ...]:
    """How many starts each search tried, where their number follows from what is found; equal texts said once."""
    found: dict[str, list[str]] = {}
    for row in summary.defects:
        if row.starts_tried is not None:
            found.setdefault(row.starts_tried.text, []).append(key_text(row.defect, row.charge))
    return tuple(f"{', '.join(names)}: {text}." for text, names in found.items())


def uncertainties(summary: Summary) -> tuple[str, ...]:
    """What each standard uncertainty is made of."""
    found: dict[str, list[str]] = {}
    for row in summary.defects:
        found.setdefault(row.uncertainty_origin, []).append(key_text(row.defect, row.charge))
    if len(found) == 1:
        return tuple(found)
    return tuple(f"{origin} — {', '.join(keys)}" for origin, keys in found.items())


def partial_line(summary: Summary) -> str:
    """That the page is partial, and without what; empty for a whole study's."""
    if not summary.unfinished:
        return ""
    return (
        f"Partial: the finished defects of {summary.study} alone, without {_missing_names(summary.unfinished)}. "
        "The numbers are those of a study that has the finished ones and no others."
    )


def left_out(summary: Summary) -> tuple[str, ...]:
    """Of every group that is missing the job that stopped it, and its log."""
    return tuple(_missing_line(row) for row in summary.unfinished)


def missing_levels(summary: Summary) -> tuple[str, ...]:
    """Formation energies and levels that need a charge state that is missing."""
    lines = []
    for defect, missing in _missing(summary).items():
        present = {row.charge for row in summary.defects if row.defect == defect}
        names = ", ".join(key_text(defect, charge) for charge in missing)
        line = f"{defect}: the formation energies of {names}"
        states = sorted({*present, *missing}, reverse=True)
        pairs = [pair for pair in pairwise(states) if set(pair) & set(missing)]
        if pairs:
            levels = ", ".join(f"{charge_text(upper)}/{charge_text(lower)}" for upper, lower in pairs)
            line += f", and the level{'s' * (len(pairs) > 1)} {levels}"
        if present:
            line += "; which of its other levels are stable is said among its finished charge states alone"
        lines.append(f"{line}.")
    return tuple(lines)


def missing_carriers(summary: Summary) -> str:
    """What the concentrations rest on; empty where nothing is missing or none were asked for."""
    if not summary.unfinished or not summary.equilibria:
        return ""
    return (
        f"Partial: concentrations and Fermi level need {_missing_names(summary.unfinished)}, too. These are of a "
        "crystal that has the finished defects alone; charge neutrality moves them when the others come."
    )


def missing_diagrams(summary: Summary) -> str:
    """Which diagrams are not here; empty where nothing is missing."""
    if not summary.unfinished:
        return ""
    return f"Partial: diagrams and captures that begin or end at {_missing_names(summary.unfinished)} are not here."


def _missing(summary: Summary) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in summary.unfinished:
        for key in map(DefectKey.parse, row.keys):
            found.setdefault(key.defect, []).append(key.charge)
    return found


def _missing_names(rows: list[UnfinishedRow]) -> str:
    keys = [DefectKey.parse(key) for row in rows for key in row.keys]
    return ", ".join(key_text(key.defect, key.charge) for key in keys)


def _missing_line(row: UnfinishedRow) -> str:
    words = {"failed": "stopped by", "running": "at work on", "queued": "queued at", "left": "waiting for"}
    reason = f" ({row.reason.rstrip('.')})" if row.reason else ""
    return f"{_missing_names([row])}: {words[row.state]} the job {row.stage}{reason}. Log: {row.log}"
