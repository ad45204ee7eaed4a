"""What a study took: its labels by stage and fidelity, from the store, and what its jobs did with their time.

A benchmark file of Snakemake knows how long a job took and, by its own age, when it ended; a record knows when its
label was computed and how long that took. The engine's time in a job is that of the records made while
it ran; all else that the job did, from starting Python to writing its files, is the pipeline's own work.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from defectscape.domain.keys import HOST
from defectscape.settings.groups import label_rounds
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext
from defectscape.study.diagrams import read_diagram_checks
from defectscape.study.host_stability import read_host_stability
from defectscape.study.labels import Outcome, round_outcomes
from defectscape.study.layout import Layout
from defectscape.study.minima import verification_labels
from defectscape.study.potentials import read_potentials_if_any
from defectscape.study.references import read_references
from defectscape.study.spin_checks import read_spin_checks
from defectscape.study.stage import Kind
from defectscape.study.stages import STAGES
from defectscape.summary.schema import CostRow, JobRow, Overhead


def _row(stage: str, fidelity: str, outcomes: Iterable[Outcome]) -> CostRow:
    items = {outcome.key: outcome for outcome in outcomes}.values()
    return CostRow(
        stage=stage,
        fidelity=fidelity,
        labels=sum(item.failure is None for item in items),
        failed=sum(item.failure is not None for item in items),
        core_s=sum(item.core_s for item in items),
    )


def _references(context: StudyContext) -> list[CostRow]:
    found = read_references(context)
    low, high = context.fidelity_names
    rows = {low: [found.bulk_low], high: [found.bulk_high, *found.elements, *found.phases]}
    return [
        CostRow(
            stage="host and elements",
            fidelity=name,
            labels=len(items),
            failed=0,
            core_s=sum(item.core_s for item in items),
        )
        for name, items in rows.items()
    ]


def _host_test(context: StudyContext) -> list[CostRow]:
    """Labels of the host's test but those of the perfect supercell itself; no row for a study without one."""
    found = read_host_stability(context)
    if found is None:
        return []
    references = read_references(context)
    own = {references.bulk_low.key, references.bulk_high.key}
    return [
        _row("host's test", name, [outcome for outcome in outcomes if outcome.key not in own])
        for name, outcomes in zip(context.fidelity_names, (found.low, found.high), strict=True)
    ]


def _verification(context: StudyContext) -> CostRow:
    """Labels of the verification, failures included as far as they left a record."""
    name = context.fidelity_settings("high").name
    labels = verification_labels(context)
    records = [context.record(item.frame, "high") for item in labels]
    core_s = sum(record.core_s for record in records if record is not None)
    return CostRow(stage="verification", fidelity=name, labels=len(labels), failed=0, core_s=core_s)


def label_costs(context: StudyContext) -> list[CostRow]:
    """Labels used by the study, with the core-seconds they took whenever they were computed."""
    rows = [*_references(context), *_host_test(context)]
    for fidelity in ("low", "high"):
        for number in label_rounds(context.study, fidelity, context.study.exploration.rounds):
            outcomes = [
                outcome for group in context.groups for outcome in round_outcomes(context, group.name, number, fidelity)
            ]
            rows.append(_row(f"round {number}", context.fidelity_settings(fidelity).name, outcomes))
    others = (*_spin_checks(context), *_potentials(context), *_path_points(context))
    return [*rows, _verification(context), *others]


def _spin_checks(context: StudyContext) -> list[CostRow]:
    """Ground states at another multiplicity; no row if there are none."""
    found = read_spin_checks(context)
    if not found:
        return []
    failed = sum(check.other_eV is None for check in found)
    return [
        CostRow(
            stage="other spins",
            fidelity=context.fidelity_settings("high").name,
            labels=len(found) - failed,
            failed=failed,
            core_s=sum(check.core_s for check in found),
        )
    ]


def _potentials(context: StudyContext) -> list[CostRow]:
    """Calculations for potentials at atoms; no row where the correction needs none."""
    if context.study.thermo.correction.kind != "efnv":
        return []
    names = [HOST, *(str(key) for _, key in context.keys)]
    every = [read_potentials_if_any(context, name) for name in names]
    found = [potentials for potentials in every if potentials is not None]
    return [
        CostRow(
            stage="potentials",
            fidelity=context.fidelity_settings("high").name,
            labels=len(found),
            failed=0,
            core_s=sum(item.core_s for item in found),
        )
    ]


def _path_points(context: StudyContext) -> list[CostRow]:
    """Labels along configuration coordinates; no row if none were asked for."""
    curves = [curve for check in read_diagram_checks(context).values() for curve in (check.initial, check.final)]
    if not curves:
        return []
    return [
        CostRow(
            stage="configuration coordinates",
            fidelity=context.fidelity_settings("high").name,
            labels=sum(len(curve.points) for curve in curves),
            failed=sum(curve.failed for curve in curves),
            core_s=sum(curve.core_s for curve in curves),
        )
    ]


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
