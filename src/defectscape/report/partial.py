"""What a partial page says of the defects that it lacks."""

from itertools import pairwise

from defectscape.domain.keys import DefectKey
from defectscape.report.names import charge_text, key_text
from defectscape.summary.schema import Summary, UnfinishedRow


def first_line(summary: Summary) -> str:
    """That the page is partial, and without what; empty for a whole study's."""
    if not summary.unfinished:
        return ""
    return (
        f"Partial: the finished defects of {summary.study} alone, without {_names(summary.unfinished)}. "
        "The numbers are those of a study that has the finished ones and no others."
    )


def left_out(summary: Summary) -> tuple[str, ...]:
    """Of every group that is missing the job that stopped it, and its log."""
    return tuple(_line(row) for row in summary.unfinished)


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
        f"Partial: concentrations and Fermi level need {_names(summary.unfinished)}, too. These are of a crystal that "
        "has the finished defects alone; charge neutrality moves them when the others come."
    )


def missing_diagrams(summary: Summary) -> str:
    """Which diagrams are not here; empty where nothing is missing."""
    if not summary.unfinished:
        return ""
    return f"Partial: diagrams and captures that begin or end at {_names(summary.unfinished)} are not here."


def _missing(summary: Summary) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in summary.unfinished:
        for key in map(DefectKey.parse, row.keys):
            found.setdefault(key.defect, []).append(key.charge)
    return found


def _names(rows: list[UnfinishedRow]) -> str:
    keys = [DefectKey.parse(key) for row in rows for key in row.keys]
    return ", ".join(key_text(key.defect, key.charge) for key in keys)


def _line(row: UnfinishedRow) -> str:
    words = {"failed": "stopped by", "running": "at work on", "queued": "queued at", "left": "waiting for"}
    reason = f" ({row.reason.rstrip('.')})" if row.reason else ""
    return f"{_names([row])}: {words[row.state]} the job {row.stage}{reason}. Log: {row.log}"
