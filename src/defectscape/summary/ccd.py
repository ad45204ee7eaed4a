"""The configuration-coordinate diagrams of the summary."""

from collections.abc import Sequence

from defectscape.domain.frame import Floats
from defectscape.domain.statistics import rms
from defectscape.study.context import StudyContext
from defectscape.study.diagrams import CurveCheck, DiagramCheck, read_diagram_checks, read_diagrams
from defectscape.summary.schema import CcdSummary, PathPoint
from defectscape.thermo.ccd_correction import corrected, left_out_rms_eV


def diagrams(context: StudyContext) -> list[CcdSummary]:
    """The configuration-coordinate diagrams that could be drawn."""
    names = context.fidelity_names
    checks = read_diagram_checks(context)
    rows = []
    for diagram in read_diagrams(context):
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
    differences = [model - engine for check in checks for _, engine, model in check.beside_ground_state]
    return rms(differences) if differences else None
