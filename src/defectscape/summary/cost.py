"""The cost ledger: the labels of a study by stage and fidelity, from the store."""

from collections.abc import Iterable

from defectscape.files.extxyz import read_labelled
from defectscape.files.tables import read_json
from defectscape.settings.groups import exploration_groups, label_rounds
from defectscape.study.context import StudyContext
from defectscape.study.diagrams import read_checks
from defectscape.study.labels import Outcome, round_outcomes
from defectscape.study.potentials import read_potentials
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
    table = read_json(context.layout.references)
    low, high = context.fidelity_names
    rows = {
        low: [table["bulk_low"]],
        high: [table["bulk_high"], *table["elements"].values(), *table["phases"].values()],
    }
    return [
        CostRow(
            stage="host and elements", fidelity=name, labels=len(items), failed=0,
            core_s=sum(item["core_s"] for item in items),
        )
        for name, items in rows.items()
    ]  # fmt: skip


def _verification(context: StudyContext) -> CostRow:
    """Labels of the verification, failures included as far as they left a record."""
    name = context.fidelity("high").name
    core_s, labels = 0.0, 0
    for group in exploration_groups(context.study):
        for key in group.keys:
            path = context.layout.group(group.name).verified(str(key)).with_suffix(".extxyz")
            for item in read_labelled(path, name):
                record = context.record(item.frame, "high")
                labels += 1
                core_s += record.core_s if record is not None else 0.0
    return CostRow(stage="verification", fidelity=name, labels=labels, failed=0, core_s=core_s)


def label_costs(context: StudyContext) -> list[CostRow]:
    """Labels used by the study, with the core-seconds they took whenever they were computed."""
    rows = _references(context)
    for level in ("low", "high"):
        for number in label_rounds(context.study, level, context.study.exploration.rounds):
            outcomes = [
                outcome
                for group in exploration_groups(context.study)
                for outcome in round_outcomes(context, group.name, number, level)
            ]
            rows.append(_row(f"round {number}", context.fidelity(level).name, outcomes))
    return [*rows, _verification(context), *_potentials(context), *_path_points(context)]


def _potentials(context: StudyContext) -> list[CostRow]:
    """Calculations for potentials at atoms; no row where the correction needs none."""
    if context.study.thermo.correction.kind != "efnv":
        return []
    keys = [str(key) for group in exploration_groups(context.study) for key in group.keys]
    paths = [context.layout.potentials(name) for name in ("host", *keys)]
    found = [read_potentials(path) for path in paths if read_json(path) is not None]
    return [
        CostRow(
            stage="potentials", fidelity=context.fidelity("high").name, labels=len(found), failed=0,
            core_s=sum(item.core_s for item in found),
        )
    ]  # fmt: skip


def _path_points(context: StudyContext) -> list[CostRow]:
    """Labels along configuration coordinates; no row if none were asked for."""
    curves = [
        curve
        for check in read_checks(context.layout.ccd_check).values()
        for curve in (check.initial, check.final)
    ]
    if not curves:
        return []
    return [
        CostRow(
            stage="configuration coordinates", fidelity=context.fidelity("high").name,
            labels=sum(len(curve.points) for curve in curves),
            failed=sum(curve.failed for curve in curves),
            core_s=sum(curve.core_s for curve in curves),
        )
    ]  # fmt: skip
