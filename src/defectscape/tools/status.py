"""What is done, running, left and failed of a study, what its labels took, and an estimate of what is left.

Looked at from outside while the study runs, here or on a cluster: nothing is written, locked or computed.
"""

import csv
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from defectscape.study.context import StudyContext
from defectscape.study.progress import JobProgress, State
from defectscape.study.stages import find_stage
from defectscape.tools.label_ledger import LabelLedger, LabelRow
from defectscape.tools.progress import Progress

STATES: tuple[State, ...] = ("done", "running", "queued", "failed", "left")

SAMPLE = 20
"""Records of a fidelity that are read for the wall time of a label beside its processor time."""


@dataclass(frozen=True)
class StageStatus:
    """Jobs of one stage of a group.

    Attributes:
        name: the stage with its round and fidelity.
        jobs: how many there are in each state.
        longest_s: how long the oldest of those at work has been, s; None if none is.
    """

    name: str
    jobs: dict[State, int]
    longest_s: float | None


@dataclass(frozen=True)
class Failure:
    """A job that failed."""

    job: str
    reason: str
    log: str


@dataclass(frozen=True)
class PartStatus:
    """Jobs of an exploration group, of the perfect crystal, or of all groups together.

    Attributes:
        name: the group's, ``host``, or ``all together``.
        keys: its defect in its charge states.
        stages: in the order of the DAG; a stage of single charge states has each for itself.
        failures: jobs that failed.
        waits: which group it learns from and waits for, in words; empty if none.
    """

    name: str
    keys: tuple[str, ...]
    stages: tuple[StageStatus, ...]
    failures: tuple[Failure, ...]
    waits: str = ""

    def in_state(self, state: State) -> list[StageStatus]:
        """Stages that have jobs in a state."""
        return [stage for stage in self.stages if stage.jobs[state]]


@dataclass(frozen=True)
class Estimate:
    """What is left, from the means of measured times; all of it is an estimate.

    Attributes:
        labels: labels to come, at most.
        label_core_s: what they take, core-seconds; None where nothing was measured that it can be told from.
        other_s: what trainings, searches and the other jobs to come take, one after the other, s.
        wall_s: all of it with as many jobs at a time as are running now, s; None where that is unknown.
        jobs_at_a_time: how many are running now.
        unknown: what was never measured, and is in none of these.
    """

    labels: int
    label_core_s: float | None
    other_s: float
    wall_s: float | None
    jobs_at_a_time: int
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """Everything that is said of a study.

    Attributes:
        study: its name.
        time: when it was looked at, ISO 8601, UTC.
        snakemake: who is at work, in words.
        jobs: how many there are in each state.
        parts: the perfect crystal, the groups, all together.
        labels: by charge state and fidelity.
        estimate: of what is left.
        page: the report if it is there; else None.
        finished: groups that a partial page can be made of.
    """

    study: str
    time: str
    snakemake: str
    jobs: dict[State, int]
    parts: tuple[PartStatus, ...]
    labels: tuple[LabelRow, ...]
    estimate: Estimate
    page: str | None
    finished: tuple[str, ...] = field(default=())


def look_at(config: Path, results: Path) -> Status:
    """The status of a study.

    Args:
        config: the study's file.
        results: folder of all studies' results; the default is meant from where the study's paths start.
    """
    progress = Progress.look(config, results)
    context = StudyContext(progress.study, progress.layout)
    ledger = LabelLedger(context)
    rows = ledger.host_rows()
    for group, jobs in progress.groups:
        rows += ledger.group_rows(group, jobs)
    missing = {item.group: item for item in progress.unfinished}
    waits = {name: item.reason for name, item in missing.items() if item.state == "left"}
    groups = [
        replace(_part(progress, group.name, tuple(map(str, group.keys)), jobs), waits=waits.get(group.name, ""))
        for group, jobs in progress.groups
    ]
    report = progress.together[-1]
    return Status(
        study=progress.study.study,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        snakemake=_who(progress),
        jobs=_count(progress.jobs),
        parts=(
            _part(progress, "host", (), progress.host),
            *groups,
            _part(progress, "all together", (), progress.together),
        ),
        labels=tuple(rows),
        estimate=_estimate(progress, ledger, rows),
        page=progress.shown(progress.layout.report) if report.state == "done" else None,
        finished=tuple(group.name for group, _ in progress.groups if group.name not in missing),
    )


def _count(jobs: Iterable[JobProgress]) -> dict[State, int]:
    states = [item.state for item in jobs]
    return {state: states.count(state) for state in STATES}


def _stage_name(item: JobProgress) -> str:
    """The stage with what tells its jobs apart but for chunk and member: round, fidelity, charge state."""
    job = item.job
    words = dict(zip(find_stage(job.stage).takes, job.arguments, strict=True))
    named = [words[kind] for kind in ("fidelity", "round", "key") if kind in words]
    return " ".join((job.stage, *named))


def _part(progress: Progress, name: str, keys: tuple[str, ...], jobs: Sequence[JobProgress]) -> PartStatus:
    stages: dict[str, list[JobProgress]] = {}
    for item in jobs:
        stages.setdefault(_stage_name(item), []).append(item)
    now = time.time()
    rows = []
    for stage, own in stages.items():
        begun = [item.since_s for item in own if item.since_s is not None]
        rows.append(StageStatus(stage, _count(own), now - min(begun) if begun else None))
    failures = tuple(
        Failure(item.job.name, item.reason, progress.shown(item.job.log)) for item in jobs if item.state == "failed"
    )
    return PartStatus(name, keys, tuple(rows), failures)


def _who(progress: Progress) -> str:
    """Whether anybody is at work, as far as it can be told from here."""
    snakemake = progress.snakemake
    if snakemake.process is not None:
        return f"at work on this machine (process {snakemake.process})"
    if not snakemake.locked:
        return "not at work"
    life_s = time.time() - max([0.0, *snakemake.marks.values(), *_written(progress)])
    return (
        "not on this machine; its lock is there, so it works on another one, or was killed (then `snakemake "
        f"--unlock`); last sign of life {duration(life_s)} ago"
    )


def _written(progress: Progress) -> list[float]:
    """When the logs of jobs at work were last written, seconds since the epoch."""
    logs = [item.job.log for item in progress.jobs if item.state == "running"]
    return [log.stat().st_mtime for log in logs if log.is_file()]


def duration(seconds: float) -> str:
    """A time for reading."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 or not seconds else f"{seconds:.2g} s"


def _estimate(progress: Progress, ledger: LabelLedger, rows: Sequence[LabelRow]) -> Estimate:
    unknown: list[str] = []
    label_core_s, label_wall_s, known = 0.0, 0.0, 0
    for level, name in zip(("low", "high"), ledger.context.fidelity_names, strict=True):
        own = [row for row in rows if row.fidelity == name]
        left = sum(row.left for row in own)
        core_s = _core_s_left(own)
        if left and core_s is None:
            unknown.append(f"{left} labels of {name}")
        elif core_s is not None:
            known += 1
            label_core_s += core_s
            label_wall_s += core_s * _wall_per_core(ledger, level)
    labels = sum(row.left for row in rows)
    other_s, rules = _other_s_left(progress)
    running = sum(item.state == "running" for item in progress.jobs)
    wall_s = (label_wall_s + other_s) / running if running and (known or not labels) else None
    return Estimate(
        labels,
        label_core_s if known or not labels else None,
        other_s,
        wall_s,
        running,
        (*unknown, *rules),
    )


def _core_s_left(rows: Sequence[LabelRow]) -> float | None:
    """Of the labels to come of one fidelity: each charge state by its own mean, else by that of all; None without."""
    timed = sum(row.timed for row in rows)
    if not timed:
        return None
    mean_s = sum(row.core_s for row in rows) / timed
    return sum(row.left * (row.core_s / row.timed if row.timed else mean_s) for row in rows)


def _wall_per_core(ledger: LabelLedger, level: str) -> float:
    """Wall seconds of a label for each of its core-seconds; 1 where no record says it."""
    keys = ledger.keys_seen[level]
    chosen = keys[:: max(1, len(keys) // SAMPLE)][:SAMPLE]
    records = [record for key in chosen if (record := ledger.context.store.get(key)) is not None]
    core_s = sum(record.core_s for record in records)
    return sum(record.wall_s for record in records) / core_s if core_s > 0 else 1.0


def _other_s_left(progress: Progress) -> tuple[float, list[str]]:
    """Of the jobs to come that are not spent on labels, s; and the stages of which none has ended yet."""
    measured: dict[str, list[float]] = {}
    for item in progress.jobs:
        if item.job.benchmark.is_file():
            measured.setdefault(item.job.stage, []).append(_benchmark_s(item.job.benchmark))
    unknown: dict[str, None] = {}
    total_s, now = 0.0, time.time()
    for item in progress.jobs:
        stage = item.job.stage
        if item.state == "done" or find_stage(stage).kind == "engine":
            continue
        if stage not in measured:
            unknown[stage] = None
            continue
        passed_s = now - item.since_s if item.state == "running" and item.since_s is not None else 0.0
        total_s += max(0.0, fmean(measured[stage]) - passed_s)
    return total_s, list(unknown)


def _benchmark_s(path: Path) -> float:
    """Wall time that a benchmark file says, s; of the last run if it has several."""
    lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t"))
    return float(lines[-1]["s"]) if lines else 0.0
