"""Capture of carriers along the diagrams of a study."""

from collections.abc import Sequence

import numpy as np

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats
from defectscape.settings.ccd import Capture
from defectscape.summary.schema import CaptureSummary, CaptureTemperature, CcdSummary, LevelSummary
from defectscape.thermo.capture import CaptureCurves, capture_coefficient_cm3_s, sommerfeld_factor


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
