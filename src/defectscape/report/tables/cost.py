"""Tables of what failed and of what everything cost."""

from defectscape.report.tables.table import Cell, Column, Table
from defectscape.summary.schema import Summary


def failures(summary: Summary) -> Table:
    """Failed relaxations by reason, and calculations that failed for good."""
    rows: list[tuple[Cell, ...]] = [
        ("relaxation", row.key, reason, count, row.relaxations)
        for row in summary.defects
        for reason, count in row.failure_reasons.items()
    ]
    rows += [
        (
            "label",
            f"{row.stage}, {row.fidelity}",
            "calculation failed",
            row.failed,
            row.labels + row.failed,
        )
        for row in summary.cost
        if row.failed
    ]
    return Table(
        "failures",
        "What failed, and why.",
        (
            Column("Kind"),
            Column("Where"),
            Column("Reason"),
            Column("Failed", digits=0),
            Column("Tried", digits=0),
        ),
        tuple(rows),
    )


def cost(summary: Summary) -> Table:
    """The ledger of labels with totals per fidelity and over all."""
    rows: list[tuple[Cell, ...]] = [
        (row.stage, row.fidelity, row.labels, row.failed, row.core_s, _each(row.core_s, row.labels))
        for row in summary.cost
    ]
    names = tuple(dict.fromkeys(row.fidelity for row in summary.cost))
    for name in (*names, "all") if rows else ():
        chosen = [row for row in summary.cost if name in (row.fidelity, "all")]
        rows.append(
            (
                "total",
                name,
                sum(row.labels for row in chosen),
                sum(row.failed for row in chosen),
                sum(row.core_s for row in chosen),
                _each(sum(row.core_s for row in chosen), sum(row.labels for row in chosen)),
            )
        )
    return Table(
        "cost",
        "Labels and the core time they took when they were computed.",
        (
            Column("Stage", strong=lambda cell: cell == "total"),
            Column("Level"),
            Column("Labels", digits=0),
            Column("Failed", digits=0),
            Column("Core time", "s", 0),
            Column("Per label", "s", 1),
        ),
        tuple(rows),
    )


def _each(core_s: float, labels: int) -> float | None:
    """Core-seconds per label, where there is one."""
    return core_s / labels if labels else None


def jobs(summary: Summary) -> Table:
    """Wall and CPU time of the rules, with their share of the wall time."""
    total = sum(row.wall_s for row in summary.jobs)
    rows = tuple(
        (
            row.rule,
            row.kind,
            row.jobs,
            row.wall_s,
            row.cpu_s,
            100 * row.wall_s / total if total else None,
        )
        for row in summary.jobs
    )
    return Table(
        "jobs",
        "Time of the workflow's rules.",
        (
            Column("Rule"),
            Column("For"),
            Column("Jobs", digits=0),
            Column("Wall time", "s", 0, bar=True),
            Column("CPU time", "s", 0, bar=True),
            Column("Share of wall time", "%", 1),
        ),
        rows,
    )
