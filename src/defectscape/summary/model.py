"""What the summary says of the model: errors, parity, training curves, checks."""

import numpy as np

from defectscape.domain.keys import DefectKey
from defectscape.model.checks import CheckReport
from defectscape.model.errors import Parity
from defectscape.model.history import TrainingHistory
from defectscape.study.committees import read_check_report, read_history
from defectscape.study.context import StudyContext
from defectscape.study.evaluation import read_errors
from defectscape.summary.schema import CurvePoint, ErrorSummary, GateRow, ParityData, TrainingCurve

MAX_FORCE_POINTS = 600
"""Force components kept per key and fidelity for the parity plot."""


def error_rows(context: StudyContext) -> list[ErrorSummary]:
    """The error table of the final committee."""
    table = read_errors(context)
    return [
        ErrorSummary(
            fidelity=row.fidelity,
            defect=row.defect or "all",
            charge=row.charge,
            frames=row.frames,
            energy_mae_meV_atom=row.energy_mae_meV_atom,
            energy_rmse_meV_atom=row.energy_rmse_meV_atom,
            energy_rmse_shifted_meV_atom=row.energy_rmse_constants_refitted_meV_atom,
            force_mae_meV_A=row.forces_mae_meV_A,
            force_rmse_meV_A=row.forces_rmse_meV_A,
        )
        for row in table.rows
    ]


def _parity_of(data: Parity, key: DefectKey) -> ParityData:
    mine = np.array([other == key for other in data.keys])
    per_atom = 1e3 / data.atoms[mine]
    centre = data.label_energy_eV[mine].mean()
    atoms = np.repeat(mine, data.atoms)
    reference = data.label_forces_eV_A[atoms].ravel()
    model = data.model_forces_eV_A[atoms].ravel()
    step = max(1, len(reference) // MAX_FORCE_POINTS)
    return ParityData(
        fidelity=data.fidelity,
        key=str(key),
        energy_reference_meV_atom=((data.label_energy_eV[mine] - centre) * per_atom).tolist(),
        energy_model_meV_atom=((data.model_energy_eV[mine] - centre) * per_atom).tolist(),
        force_reference_eV_A=reference[::step].tolist(),
        force_model_eV_A=model[::step].tolist(),
    )


def parity(context: StudyContext) -> list[ParityData]:
    """Labels against the final committee on held-out frames."""
    table = read_errors(context)
    return [_parity_of(data, key) for data in table.parity for key in sorted(set(data.keys))]


def _curve(name: str, history: TrainingHistory) -> TrainingCurve:
    return TrainingCurve(
        model=name,
        stop_reason=history.stop_reason,
        best_step=history.best_step,
        train_frames=history.train_frames,
        valid_frames=history.valid_frames,
        points=[
            CurvePoint(
                step=point.step,
                loss=point.loss,
                energy_rmse_meV_atom=point.energy_rmse_meV_atom,
                force_rmse_meV_A=point.forces_rmse_meV_A,
            )
            for point in history.validations
        ],
    )


def training_curves(context: StudyContext) -> list[TrainingCurve]:
    """Histories of every member of every committee."""
    study, final = context.study, context.layout.final
    curves = [_curve(f"final/{member}", read_history(final, member)) for member in range(study.training.committee)]
    for group in context.groups:
        for number in range(study.exploration.rounds + 1):
            files = context.layout.group(group.name).round(number)
            curves += [
                _curve(f"{group.name}/round_{number}/{member}", read_history(files, member))
                for member in range(study.exploration.training.committee)
            ]
    return curves


def _gates(name: str, report: CheckReport) -> list[GateRow]:
    splits = (
        ("charge states", "eV", report.charge_split_eV),
        ("charge states", "eV/A", report.charge_split_eV_A),
        ("fidelities", "eV", report.fidelity_split_eV),
        ("fidelities", "eV/A", report.fidelity_split_eV_A),
    )
    rows = [
        GateRow(
            model=name,
            gate=f"smallest difference between {what}, references removed",
            value=value,
            unit=unit,
            limit="above 1e-4",
        )
        for what, unit, value in splits
        if value is not None
    ]
    rows.append(
        GateRow(
            model=name,
            gate="training file, calculator and batch agree",
            value=report.disagreement_eV,
            unit="eV",
            limit="below 1e-6 eV in float64, 1e-3 eV in float32",
        )
    )
    return rows


def gate_rows(context: StudyContext) -> list[GateRow]:
    """What the checks measured on the final and the searching committees."""
    rows = _gates("final", read_check_report(context.layout.final.gates))
    for group in context.groups:
        rows += _gates(group.name, read_check_report(context.layout.group(group.name).gates))
    return rows
