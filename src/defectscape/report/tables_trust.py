"""Tables of how far the numbers can be trusted, and of what they cost."""

from defectscape.report.calibration import calibration_table, level_test_table
from defectscape.report.table import Cell, Column, Table
from defectscape.report.tables_results import milli
from defectscape.summary.schema import Summary


def trust_tables(summary: Summary) -> dict[str, Table]:
    """All tables of trust and cost by name."""
    tables = (
        errors(summary),
        level_gaps(summary),
        calibration_table(summary),
        level_test_table(summary),
        gates(summary),
        training(summary),
        verification(summary),
        failures(summary),
        cost(summary),
        jobs(summary),
    )
    return {table.name: table for table in tables}


def errors(summary: Summary) -> Table:
    """Held-out errors per head, defect and charge."""
    return Table(
        "errors",
        "Errors of the final committee on held-out frames.",
        (
            Column("Head"),
            Column("Defect"),
            Column("Charge", "e", charge=True, absent="all"),
            Column("Frames", digits=0),
            Column("Energy MAE", "meV/atom", 2),
            Column("Energy RMSE", "meV/atom", 2),
            Column("Energy RMSE, mean removed", "meV/atom", 2),
            Column("Force MAE", "meV/Å", 1),
            Column("Force RMSE", "meV/Å", 1),
        ),
        tuple(
            (
                row.fidelity,
                row.defect,
                row.charge,
                row.frames,
                row.energy_mae_meV_atom,
                row.energy_rmse_meV_atom,
                row.energy_rmse_shifted_meV_atom,
                row.force_mae_meV_A,
                row.force_rmse_meV_A,
            )
            for row in summary.errors
        ),
    )


def level_gaps(summary: Summary) -> Table:
    """How far the two levels of theory differ, charge by charge."""
    return Table(
        "level_gaps",
        f"{summary.high.name} against {summary.low.name} on the frames that have both labels: the spread "
        "of the difference is what the model must learn from few labels.",
        (
            Column("State"),
            Column("Frames", digits=0),
            Column("Mean difference", "eV", 3),
            Column("Spread of the difference", "meV/atom", 2),
            Column("Spread of the low energies", "meV/atom", 2),
            Column("RMS force difference", "meV/Å", 1),
            Column("RMS force", "meV/Å", 1),
        ),
        tuple(
            (
                row.key,
                row.frames,
                row.shift_eV,
                row.spread_meV_atom,
                row.low_spread_meV_atom,
                row.force_rms_meV_A,
                row.force_meV_A,
            )
            for row in summary.level_gaps
        ),
    )


def gates(summary: Summary) -> Table:
    """Gates that the models passed; a failed one stops the study."""
    return Table(
        "gates",
        "Gates that the models passed.",
        (
            Column("Model"),
            Column("Checked"),
            Column("Value"),
            Column("Unit"),
            Column("Limit"),
        ),
        tuple(
            (row.model, row.gate, f"{row.value:.4g}", row.unit, row.limit) for row in summary.gates
        ),
    )


def training(summary: Summary) -> Table:
    """One row per trained model; errors are those of the kept step."""
    names = (summary.high.name, summary.low.name)
    columns = (
        Column("Model"),
        *(Column(f"Frames to train on, {name}", digits=0) for name in names),
        *(Column(f"Frames to validate on, {name}", digits=0) for name in names),
        Column("Best step", digits=0),
        *(Column(f"Validation energy RMSE, {name}", "meV/atom", 2) for name in names),
        *(Column(f"Validation force RMSE, {name}", "meV/Å", 1) for name in names),
        Column("Ended by"),
    )
    rows: list[tuple[Cell, ...]] = []
    for curve in summary.training:
        best = next((point for point in curve.points if point.step == curve.best_step), None)
        rows.append(
            (
                curve.model,
                *(curve.train_frames.get(name) for name in names),
                *(curve.valid_frames.get(name) for name in names),
                curve.best_step,
                *(best.energy_rmse_meV_atom.get(name) if best else None for name in names),
                *(best.force_rmse_meV_A.get(name) if best else None for name in names),
                curve.stop_reason,
            )
        )
    return Table("training", "Trained models.", columns, tuple(rows))


def verification(summary: Summary) -> Table:
    """Model minus engine at every minimum that the engine computed."""
    return Table(
        "verification",
        "Model minus engine at the model's geometry, before the model was trained on it.",
        (
            Column("Defect"),
            Column("Charge", "e", charge=True),
            Column("Rank", digits=0),
            Column("Model minus engine", "meV", 1),
            Column("Engine energy", "eV", 3),
            Column("Engine fmax", "eV/Å", 3),
            Column("Engine steps", digits=0),
        ),
        tuple(
            (
                row.defect,
                row.charge,
                entry.rank,
                milli(entry.model_error_eV),
                entry.verified_energy_eV,
                entry.engine_fmax_eV_A,
                entry.relax_steps,
            )
            for row in summary.defects
            for entry in row.minima
            if entry.model_error_eV is not None or entry.verified_energy_eV is not None
        ),
    )


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
            Column("Wall time", "s", 1),
            Column("CPU time", "s", 1),
            Column("Share of wall time", "%", 1),
        ),
        rows,
    )
