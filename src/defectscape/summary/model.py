"""What the summary says of the model: errors, parity, training curves, gates, diagrams."""

from collections.abc import Sequence

import numpy as np

from defectscape.domain.frame import Floats
from defectscape.domain.keys import DefectKey
from defectscape.files.tables import decode, read_json
from defectscape.model.errors import ErrorTable, Parity
from defectscape.settings.groups import exploration_groups
from defectscape.study.context import StudyContext
from defectscape.study.diagrams import CurveCheck, DiagramCheck, read_checks, read_diagrams
from defectscape.summary.schema import (
    CcdSummary,
    CurvePoint,
    ErrorSummary,
    GateRow,
    ParityData,
    PathPoint,
    TrainingCurve,
)
from defectscape.thermo.ccd_correction import corrected, left_out_rms_eV

MAX_FORCE_POINTS = 600
"""Force components kept per key and fidelity for the parity plot."""


def error_rows(context: StudyContext) -> list[ErrorSummary]:
    """The error table of the final committee."""
    table = decode(ErrorTable, read_json(context.layout.errors))
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
    table = decode(ErrorTable, read_json(context.layout.errors))
    return [_parity_of(data, key) for data in table.parity for key in sorted(set(data.keys))]


def _curve(name: str, content: dict) -> TrainingCurve:
    return TrainingCurve(
        model=name,
        stop_reason=content["stop_reason"],
        best_step=content["best_step"],
        train_frames=content["train_frames"],
        valid_frames=content["valid_frames"],
        points=[
            CurvePoint(
                step=point["step"],
                loss=point["loss"],
                energy_rmse_meV_atom=point["energy_rmse_meV_atom"],
                force_rmse_meV_A=point["forces_rmse_meV_A"],
            )
            for point in content["validations"]
        ],
    )


def training_curves(context: StudyContext) -> list[TrainingCurve]:
    """Histories of every member of every committee."""
    study = context.study
    curves = [
        _curve(f"final/{m}", read_json(context.layout.final.history(m)))
        for m in range(study.training.committee)
    ]
    for group in exploration_groups(study):
        for number in range(study.exploration.rounds + 1):
            files = context.layout.group(group.name).round(number)
            curves += [
                _curve(f"{group.name}/round_{number}/{m}", read_json(files.history(m)))
                for m in range(study.exploration.training.committee)
            ]
    return curves


def _gates(name: str, content: dict) -> list[GateRow]:
    rows = []
    for what, field in (("charge states", "charge_split"), ("fidelities", "fidelity_split")):
        for unit, suffix in (("eV", "_eV"), ("eV/A", "_eV_A")):
            value = content[field + suffix]
            if value is not None:
                gate = f"smallest difference between {what}, references removed"
                rows.append(
                    GateRow(model=name, gate=gate, value=value, unit=unit, limit="above 1e-4")
                )
    rows.append(
        GateRow(
            model=name,
            gate="training file, calculator and batch agree",
            value=content["disagreement_eV"],
            unit="eV",
            limit="below 1e-6 eV in float64, 1e-3 eV in float32",
        )
    )
    return rows


def gate_rows(context: StudyContext) -> list[GateRow]:
    """What the gates measured on the final and the searching committees."""
    rows = _gates("final", read_json(context.layout.final.gates))
    for group in exploration_groups(context.study):
        rows += _gates(group.name, read_json(context.layout.group(group.name).gates))
    return rows


def diagrams(context: StudyContext) -> list[CcdSummary]:
    """The configuration-coordinate diagrams that could be drawn."""
    names = context.fidelity_names
    checks = read_checks(context.layout.ccd_check)
    rows = []
    for diagram in read_diagrams(context.layout.ccd):
        ccd = diagram.ccd
        check = checks.get((diagram.initial, diagram.final))
        if ccd is None or diagram.initial_std_eV is None or diagram.final_std_eV is None:
            continue
        drawn = ccd
        if check is not None:
            drawn = corrected(
                ccd,
                (check.initial.points, check.initial.differences_eV),
                (check.final.points, check.final.differences_eV),
            )
        initial, final = drawn.fit_initial, drawn.fit_final
        rows.append(
            CcdSummary(
                defect=ccd.path.initial_key.defect,
                initial_charge=ccd.path.initial_key.charge,
                final_charge=ccd.path.final_key.charge,
                dQ_amu05_A=ccd.path.dQ_amu05_A,
                Q_amu05_A=ccd.path.Q_amu05_A.tolist(),
                initial_eV=drawn.energies_initial_eV.tolist(),
                final_eV=(drawn.energies_final_eV - ccd.dE_eV).tolist(),
                initial_model_eV=ccd.energies_initial_eV.tolist() if check else [],
                final_model_eV=(ccd.energies_final_eV - ccd.dE_eV).tolist() if check else [],
                initial_std_eV=diagram.initial_std_eV.tolist(),
                final_std_eV=diagram.final_std_eV.tolist(),
                level_eV=ccd.dE_eV / (ccd.path.initial_key.charge - ccd.path.final_key.charge),
                relaxation_initial_eV=initial.relaxation_energy_eV,
                relaxation_final_eV=final.relaxation_energy_eV,
                phonon_initial_eV=initial.phonon_energy_eV,
                phonon_final_eV=final.phonon_energy_eV,
                quantum_initial_eV=initial.quantum_eV,
                quantum_final_eV=final.quantum_eV,
                huang_rhys_initial=initial.huang_rhys,
                huang_rhys_final=final.huang_rhys,
                harmonic_initial=initial.anharmonic is False,
                harmonic_final=final.anharmonic is False,
                source=f"final committee, head {names[1]}"
                + (", moved onto the engine's points" if drawn is not ccd else ""),
                initial_checks=_path_points(ccd.path.Q_amu05_A, check.initial) if check else [],
                final_checks=_path_points(ccd.path.Q_amu05_A, check.final) if check else [],
                engine_rms_eV=_rms_eV([check.initial, check.final]) if check else None,
                left_out_rms_eV=_left_out_eV(ccd.path.Q_amu05_A, check) if check else None,
            )
        )
    return rows


def _path_points(Q_amu05_A: Floats, check: CurveCheck) -> list[PathPoint]:
    """The engine's points of a curve, its ground state left out."""
    return [
        PathPoint(Q_amu05_A=float(Q_amu05_A[point]), engine_eV=engine, model_eV=model)
        for point, engine, model in check.beside_ground_state
    ]


def _left_out_eV(Q_amu05_A: Floats, check: DiagramCheck) -> float | None:
    """What the moved curves are wrong by at points that they were not told of, the worse of the two."""
    found = [
        left_out_rms_eV(Q_amu05_A, curve.points, curve.differences_eV, curve.zero)
        for curve in (check.initial, check.final)
    ]
    return max((value for value in found if value is not None), default=None)


def _rms_eV(checks: Sequence[CurveCheck]) -> float | None:
    """RMS difference of model and engine over several curves; None if nothing was compared."""
    differences = [
        model - engine for check in checks for _, engine, model in check.beside_ground_state
    ]
    return float(np.sqrt(np.mean(np.square(differences)))) if differences else None
