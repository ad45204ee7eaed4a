"""The cost ledger: the labels of a study by stage and fidelity, from the store."""

from collections.abc import Iterable

from defectscape.domain.keys import HOST
from defectscape.settings.groups import label_rounds
from defectscape.study.context import StudyContext
from defectscape.study.diagrams import read_diagram_checks
from defectscape.study.labels import Outcome, round_outcomes
from defectscape.study.minima import verification_labels
from defectscape.study.potentials import read_potentials_if_any
from defectscape.study.references import read_references
from defectscape.summary.schema import CostRow


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


def _verification(context: StudyContext) -> CostRow:
    """Labels of the verification, failures included as far as they left a record."""
    name = context.fidelity_settings("high").name
    labels = verification_labels(context)
    records = [context.record(item.frame, "high") for item in labels]
    core_s = sum(record.core_s for record in records if record is not None)
    return CostRow(stage="verification", fidelity=name, labels=len(labels), failed=0, core_s=core_s)


def label_costs(context: StudyContext) -> list[CostRow]:
    """Labels used by the study, with the core-seconds they took whenever they were computed."""
    rows = _references(context)
    for fidelity in ("low", "high"):
        for number in label_rounds(context.study, fidelity, context.study.exploration.rounds):
            outcomes = [
                outcome for group in context.groups for outcome in round_outcomes(context, group.name, number, fidelity)
            ]
            rows.append(_row(f"round {number}", context.fidelity_settings(fidelity).name, outcomes))
    return [*rows, _verification(context), *_potentials(context), *_path_points(context)]


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
