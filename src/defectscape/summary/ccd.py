"""The configuration-coordinate diagrams of the summary, and the capture of carriers along them."""

from collections.abc import Sequence

import numpy as np

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats
from defectscape.domain.statistics import rms
from defectscape.settings.ccd import Capture
from defectscape.study.context import StudyContext
from defectscape.study.diagrams import CurveCheck, DiagramCheck, read_diagram_checks, read_diagrams
from defectscape.summary.schema import CaptureSummary, CaptureTemperature, CcdSummary, LevelSummary, PathPoint
from defectscape.thermo.capture import CaptureCurves, capture_coefficient_cm3_s, sommerfeld_factor
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


def capture_rows(
    asked: Sequence[Capture], diagrams: Sequence[CcdSummary], levels: Sequence[LevelSummary], gap_eV: float
) -> list[CaptureSummary]:
    """Coefficients of the captures that a study asks for.

    Args:
        asked: what the study asks for.
        diagrams: its diagrams, in either direction.
        levels: its transition levels, whose bars are the bars of the energy released.
        gap_eV: the host's gap, eV: electrons come from its upper edge.
    """
    return [_row(capture, diagrams, levels, gap_eV) for capture in asked]


def _row(
    capture: Capture, diagrams: Sequence[CcdSummary], levels: Sequence[LevelSummary], gap_eV: float
) -> CaptureSummary:
    carrier = "electron" if capture.final < capture.initial else "hole"
    charges = {capture.initial, capture.final}
    diagram = next(
        (row for row in diagrams if row.defect == capture.defect and {row.initial_charge, row.final_charge} == charges),
        None,
    )
    released_eV = bar_eV = None
    temperatures: list[CaptureTemperature] = []
    reason = "no diagram of these two charge states"
    if diagram is not None:
        released_eV = gap_eV - diagram.level_eV if carrier == "electron" else diagram.level_eV
        bar_eV = _bar_eV(capture, levels)
        try:
            temperatures = _temperatures(capture, diagram, carrier, released_eV, bar_eV)
            reason = ""
        except ThermoError as error:
            reason = str(error)
    return CaptureSummary(
        defect=capture.defect,
        initial_charge=capture.initial,
        final_charge=capture.final,
        carrier=carrier,
        released_eV=released_eV,
        released_std_eV=bar_eV,
        coupling_eV_amu05_A=capture.coupling_eV_amu05_A,
        temperatures=temperatures,
        reason=reason,
    )


def _temperatures(
    capture: Capture, diagram: CcdSummary, carrier: str, released_eV: float, bar_eV: float | None
) -> list[CaptureTemperature]:
    """A coefficient with its range for every temperature."""
    middle = _coefficients(capture, diagram, released_eV)
    low, high = _range(capture, diagram, released_eV, bar_eV, middle)
    factors = _coulomb(capture, carrier)
    return [
        CaptureTemperature(
            temperature_K=kelvin,
            coefficient_cm3_s=float(middle[i] * factors[i]),
            low_cm3_s=None if low is None else float(low[i] * factors[i]),
            high_cm3_s=None if high is None else float(high[i] * factors[i]),
            coulomb_factor=None if capture.coulomb is None else float(factors[i]),
        )
        for i, kelvin in enumerate(capture.temperatures_K)
    ]


def _bar_eV(capture: Capture, levels: Sequence[LevelSummary]) -> float | None:
    upper, lower = max(capture.initial, capture.final), min(capture.initial, capture.final)
    for row in levels:
        if (row.defect, row.upper_charge, row.lower_charge) == (capture.defect, upper, lower):
            return row.uncertainty_eV
    return None


def _coefficients(capture: Capture, diagram: CcdSummary, released_eV: float) -> Floats:
    """Without the defect's charge, (k,), cm^3/s."""
    Q = np.array(diagram.Q_amu05_A)
    ends = {diagram.initial_charge: 0.0, diagram.final_charge: diagram.dQ_amu05_A}
    curves = {diagram.initial_charge: np.array(diagram.initial_eV), diagram.final_charge: np.array(diagram.final_eV)}
    at = capture.initial if capture.coupling_at == "initial" else capture.final
    return capture_coefficient_cm3_s(
        CaptureCurves(Q, curves[capture.initial], curves[capture.final], ends[at], released_eV),
        capture.coupling_eV_amu05_A,
        capture.volume_A3,
        capture.degeneracy,
        np.array(capture.temperatures_K),
    )


def _range(
    capture: Capture, diagram: CcdSummary, released_eV: float, bar_eV: float | None, middle: Floats
) -> tuple[Floats | None, Floats | None]:
    """Smallest and largest coefficients within the bar; None where an end of it cannot be computed."""
    if bar_eV is None:
        return None, None
    try:
        found = [_coefficients(capture, diagram, released_eV + part * bar_eV) for part in (-1.0, -0.5, 0.5, 1.0)]
    except ThermoError:
        return None, None
    found.append(middle)
    return np.min(found, axis=0), np.max(found, axis=0)


def _coulomb(capture: Capture, carrier: str) -> Floats:
    """By what the defect's charge multiplies the coefficients, (k,)."""
    temperatures = np.array(capture.temperatures_K)
    if capture.coulomb is None:
        return np.ones(len(temperatures))
    ratio = -capture.initial if carrier == "electron" else capture.initial
    return sommerfeld_factor(ratio, capture.coulomb.mass, capture.coulomb.dielectric_constant, temperatures)
