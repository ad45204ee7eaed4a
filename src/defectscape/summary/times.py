"""What a study's jobs did with their time, from Snakemake's benchmark files and the labels' records.

A benchmark file knows how long a job took and, by its own age, when it ended; a record knows when its
label was computed and how long that took. The engine's time in a job is that of the records made while
it ran; all else that the job did, from starting Python to writing its files, is the pipeline's own work.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from defectscape.domain.keys import HOST
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext
from defectscape.study.layout import Layout
from defectscape.study.stage import Kind
from defectscape.study.stages import STAGES
from defectscape.summary.schema import JobRow, Overhead

KINDS = {stage.name: stage.kind for stage in STAGES}
LABELLING = ("label_low", "label_high")
"""Jobs of the stage ``label`` have a benchmark folder for each fidelity."""


def kind_of(rule: str) -> Kind:
    """What the jobs in a benchmark folder are there for; those of no known stage are the workflow's own."""
    return KINDS.get("label" if rule in LABELLING else rule, "other")


CLOCK_SLACK_S = 2.0
"""A benchmark file is written this long after its job's last label at most, and stamped by another clock."""


@dataclass(frozen=True)
class Job:
    """One job of the last run.

    Attributes:
        rule: name of its benchmark folder.
        end_s: when it ended, seconds since the epoch.
        wall_s, cpu_s: how long it took.
    """

    rule: str
    end_s: float
    wall_s: float
    cpu_s: float

    def ran_at(self, time_s: float) -> bool:
        """Whether it was running then, seconds since the epoch."""
        return self.end_s - self.wall_s - CLOCK_SLACK_S <= time_s <= self.end_s + CLOCK_SLACK_S


def read_jobs(context: StudyContext) -> tuple[Job, ...]:
    """All jobs that have a benchmark file."""
    layout = context.layout
    # Of a partial page's own jobs, and of the study's others.
    found = {
        path.relative_to(folder): path
        for folder in (Layout(layout.folder).benchmarks, layout.benchmarks)
        for path in folder.glob("*/*.tsv")
    }
    return tuple(
        # Jobs that end within a second have no sample of their CPU time.
        Job(
            path.parent.name,
            path.stat().st_mtime,
            float(line["s"]),
            float(line["cpu_time"]) if line["cpu_time"] not in ("-", "NA") else 0.0,
        )
        for _, path in sorted(found.items())
        for line in csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t")
    )


def rule_times(jobs: Iterable[Job]) -> list[JobRow]:
    """Wall and CPU seconds of every rule, by name."""
    by_rule: dict[str, list[Job]] = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(job)
    return [
        JobRow(
            rule=rule,
            kind=kind_of(rule),
            jobs=len(own),
            wall_s=sum(job.wall_s for job in own),
            cpu_s=sum(job.cpu_s for job in own),
        )
        for rule, own in sorted(by_rule.items())
    ]


def overhead(context: StudyContext, jobs: tuple[Job, ...]) -> Overhead | None:
    """How the jobs' wall time is shared out; None if there is none."""
    asking = [job for job in jobs if kind_of(job.rule) == "engine"]
    computed = []
    for record in _records(context):
        time_s = datetime.fromisoformat(record.timestamp).timestamp()
        if any(job.ran_at(time_s) for job in asking):
            computed.append(record)
    return share_out(jobs, sum(record.wall_s for record in computed), len(computed))


def share_out(jobs: Iterable[Job], engine_s: float, labels: int) -> Overhead | None:
    """Engine, training, relaxation and everything else, of the jobs' wall time.

    Args:
        jobs: the jobs.
        engine_s: how long the engine worked in them, s.
        labels: how many labels it computed.
    """
    walls: dict[str, float] = {}
    for job in jobs:
        kind = kind_of(job.rule)
        walls[kind] = walls.get(kind, 0.0) + job.wall_s
    total = sum(walls.values())
    if not total:
        return None
    engine_s = min(engine_s, walls.get("engine", 0.0))
    training_s, relaxation_s = walls.get("training", 0.0), walls.get("relaxation", 0.0)
    other_s = total - engine_s - training_s - relaxation_s
    with_minutes_s = other_s + training_s + relaxation_s + 60.0 * labels
    return Overhead(
        engine_s=engine_s,
        training_s=training_s,
        relaxation_s=relaxation_s,
        other_s=other_s,
        labels=labels,
        share_percent=100 * other_s / total,
        share_of_minutes_percent=100 * other_s / with_minutes_s,
    )


def _records(context: StudyContext) -> Iterator[LabelRecord]:
    """The records of the study's defects and of its crystals, failures included.

    Another study of the same defects at work in the same store at the same time would be counted with it.
    """
    names = {defect.name for defect in context.study.defects} | {HOST}
    return (record for record in context.store.records() if record.frame.key.defect in names)
