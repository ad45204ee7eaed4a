"""Tables of how far the model can be trusted: errors, calibration, checks, training, verification."""

from defectscape.report.tables.table import Cell, Column, Table, milli, percent
from defectscape.summary.schema import Summary

CALIBRATED = {
    "force": "force component",
    "within": "energy difference within a charge",
    "between": "energy difference between charges",
}
"""What a calibration is of, in words."""


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


def fidelity_differences(summary: Summary) -> Table:
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


def calibration(summary: Summary) -> Table:
    """The factors, what they rest on, and the coverage before and after."""
    return Table(
        "calibration",
        "Factors from the final committee's spread to error bars, from validation families; coverage on test families.",
        (
            Column("Head"),
            Column("Quantity"),
            Column("Frames", digits=0),
            Column("Families", digits=0),
            Column("Factor", digits=2),
            Column("±", digits=2),
            Column("Test frames", digits=0),
            Column("Within 1 spread", "%", 0),
            Column("Within 2 spreads", "%", 0),
            Column("Within 68% bar", "%", 0),
            Column("Within 95% bar", "%", 0),
            Column("Rank correlation", digits=2),
            Column("Note", optional=True),
        ),
        tuple(
            (
                row.fidelity,
                CALIBRATED.get(row.quantity, row.quantity),
                row.frames,
                row.families,
                row.factor68,
                row.factor68_std,
                row.test_frames,
                percent(row.coverage68_before),
                percent(row.coverage95_before),
                percent(row.coverage68_after),
                percent(row.coverage95_after),
                row.rank_correlation,
                row.reason,
            )
            for row in summary.calibration
        ),
    )


def level_tests(summary: Summary) -> Table:
    """Levels that the searching committee predicted, against the engine's."""
    return Table(
        "level_tests",
        "Levels of the searching committee less the engine's, at the model's minima, before it had seen them.",
        (
            Column("Defect"),
            Column("Upper charge", "e", charge=True),
            Column("Lower charge", "e", charge=True),
            Column("Model less engine", "meV", 0),
            Column("Calibrated bar", "meV", 0),
            Column("In units of the bar", digits=1),
        ),
        tuple(
            (
                row.defect,
                row.upper_charge,
                row.lower_charge,
                milli(row.model_error_eV),
                milli(row.bar_eV),
                abs(row.model_error_eV) / row.bar_eV if row.bar_eV else None,
            )
            for row in summary.level_tests
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
            Column("Limit", term="Limit of a gate"),
        ),
        tuple((row.model, row.gate, f"{row.value:.4g}", row.unit, row.limit) for row in summary.gates),
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
