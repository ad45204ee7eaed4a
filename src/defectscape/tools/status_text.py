"""The status of a study as text of 80 columns."""

import textwrap
from collections.abc import Iterator, Sequence

from defectscape.tools.label_ledger import LabelRow
from defectscape.tools.status import Estimate, PartStatus, StageStatus, Status, duration

WIDTH = 80
MARGIN = 12


def status_lines(status: Status) -> Iterator[str]:
    """The lines of a status, none longer than ``WIDTH`` unless it holds a path or a name that long."""
    jobs = status.jobs
    counts = ", ".join(f"{jobs[state]} {state}" for state in ("running", "queued", "failed", "left"))
    yield from _named("study", f"{status.study}: {jobs['done']} of {sum(jobs.values())} jobs done, {counts}")
    yield from _named("snakemake", status.snakemake)
    yield from _named("page", _page(status))
    for part in status.parts:
        yield ""
        yield from _part(part)
    yield ""
    yield from _labels(status.labels)
    yield ""
    yield from _left(status.estimate)


def _named(name: str, text: str) -> list[str]:
    """A name and a text beside it, over as many lines as it takes."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{name:<{MARGIN - 1}} ",
        subsequent_indent=" " * MARGIN,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _page(status: Status) -> str:
    if status.page is not None:
        return status.page
    if len(status.finished) in (0, len(status.parts) - 2):
        return "not yet"
    return f"not yet; `defectscape report --partial` makes one of {', '.join(status.finished)}"


def _part(part: PartStatus) -> Iterator[str]:
    to_come = [state for stage in part.stages for state in ("running", "queued", "failed", "left") if stage.jobs[state]]
    # What it was taught is about to change: then it is done, and will be done again.
    whole = not to_come and not part.waits
    keys = ", ".join(part.keys)
    yield from _named(part.name, f"{keys}{': ' if keys else ''}{'done' if whole else 'not finished'}")
    if whole:
        return
    for state in ("done", "running", "queued", "left"):
        stages = part.in_state(state)
        if stages:
            yield from _named(f"  {state}", ", ".join(_stage(stage, stage.jobs[state], state) for stage in stages))
    if part.waits:
        yield from _named("  waits", part.waits)
    for failure in part.failures:
        yield from _named("  failed", f"{failure.job}: {failure.reason}")
        yield f"{'':{MARGIN}}log {failure.log}"


def _stage(stage: StageStatus, count: int, state: str) -> str:
    total = sum(stage.jobs.values())
    text = stage.name if count == total else f"{stage.name} ({count} of {total} jobs)"
    return f"{text} for {duration(stage.longest_s)}" if state == "running" and stage.longest_s is not None else text


def _labels(rows: Sequence[LabelRow]) -> Iterator[str]:
    yield f"{'labels':<16} {'fidelity':<16} {'done':>7} {'failed':>7} {'expected':>9} {'core time':>9} {'each':>8}"
    for row in (*rows, *_totals(rows)):
        expected = f"{'' if row.exact else '<='}{row.expected}"
        each = duration(row.core_s / row.timed) if row.timed else "unknown"
        spent = duration(row.core_s)
        yield f"{row.of:<16} {row.fidelity:<16} {row.done:>7} {row.failed:>7} {expected:>9} {spent:>9} {each:>8}"


def _totals(rows: Sequence[LabelRow]) -> Iterator[LabelRow]:
    for name in dict.fromkeys(row.fidelity for row in rows):
        own = [row for row in rows if row.fidelity == name]
        yield LabelRow(
            "total",
            name,
            done=sum(row.done for row in own),
            failed=sum(row.failed for row in own),
            core_s=sum(row.core_s for row in own),
            timed=sum(row.timed for row in own),
            expected=sum(row.expected for row in own),
            exact=all(row.exact for row in own),
        )


def _left(estimate: Estimate) -> Iterator[str]:
    labels = "of unknown core time" if estimate.label_core_s is None else f"about {duration(estimate.label_core_s)}"
    yield from _named(
        "left",
        f"at most {estimate.labels} labels, {labels} of one core; trainings, searches and the rest about "
        f"{duration(estimate.other_s)}. Estimates: means of what this study has measured",
    )
    if estimate.wall_s is None:
        text = "unknown: no job is running" if not estimate.jobs_at_a_time else "unknown: no label was timed"
    else:
        text = (
            f"{'at least' if estimate.unknown else 'about'} {duration(estimate.wall_s)}, an estimate: with as many "
            f"jobs at a time as run now ({estimate.jobs_at_a_time}) until the end"
        )
    yield from _named("time left", text)
    if estimate.unknown:
        yield from _named("not in it", f"{', '.join(estimate.unknown)}: not measured yet")
