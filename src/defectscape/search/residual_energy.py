"""Residual relaxation energy: what relaxing a verified ground state further would still gain."""

import logging
import math
from dataclasses import dataclass

import numpy as np
from ase.calculators.calculator import CalculationFailed

from defectscape.domain.frame import Frame
from defectscape.domain.label import Label
from defectscape.search.corrected_surface import CorrectedSurface
from defectscape.search.relaxation import relax
from defectscape.search.surface import Surface
from defectscape.search.verification_criterion import harmonic_residual_eV
from defectscape.settings.search import SearchSettings

logger = logging.getLogger(__name__)

SAME_BASIN_A = 0.3
"""A relaxation that moves an atom further has left the basin; its energy says nothing of the ground state."""
LEAST_FMAX_EV_A = 0.002
"""Least convergence asked for: the forces are in single precision."""


def relaxation_gain_eV(
    frame: Frame, surface: Surface, settings: SearchSettings, fmax_eV_A: float
) -> tuple[float, float] | None:
    """Energy gained by relaxing further: mean and standard deviation over members, eV.

    The first relaxation goes to the search's convergence, or to half the force at the frame if that is smaller: else
    there would be nothing to relax. A second one goes on to a tenth of that force. It counts if it
    stays in the basin; along soft modes it may not.

    Args:
        frame: where the engine's largest force is ``fmax_eV_A``.
        surface: with the engine's forces there.
        settings: of the search.
        fmax_eV_A: largest force at the frame.

    Returns:
        None if the first relaxation failed or left the basin.
    """
    first = min(settings.fmax_eV_A, max(0.5 * fmax_eV_A, LEAST_FMAX_EV_A))
    second = min(first, max(0.1 * fmax_eV_A, LEAST_FMAX_EV_A))
    before = np.array(surface.evaluate(frame).member_energies_eV)
    found = None
    for target_eV_A in dict.fromkeys((first, second)):
        # The engine's forces are in the surface: the committee's disagreement does not end it early.
        limits = {"fmax_eV_A": target_eV_A, "stop_force_std_eV_A": None}
        result = relax(frame, surface, settings.model_copy(update=limits))
        moved = np.linalg.norm(result.final.positions_A - frame.positions_A, axis=1).max()
        if not result.trusted or moved > SAME_BASIN_A:
            text = "%s: final relaxation to %.3f eV/A %s, moved %.2f A"
            logger.warning(text, frame.key, target_eV_A, result.reason, moved)
            break
        gains = before - np.array(result.member_energies_eV)
        found = max(float(gains.mean()), 0.0), float(gains.std(ddof=1))
    return found


@dataclass(frozen=True)
class ResidualEnergy:
    """What relaxing a verified ground state further would still gain.

    Attributes:
        uncertainty_eV, origin: standard uncertainty of the energy for that, eV, and how it was estimated.
    """

    uncertainty_eV: float
    origin: str


def residual_energy(frame: Frame, label: Label, surface: Surface, settings: SearchSettings) -> ResidualEnergy:
    """Estimate it from the engine's forces and the model's curvature.

    A soft mode's curvature stands in where the model leaves the basin, or has no value since its prior failed.

    Args:
        frame, label: where the engine's relaxation ended.
        surface: the final committee's.
        settings: of the search.
    """
    what = "what relaxing it further would still gain: the engine's forces, "
    rest = "; the finite-size error is not in it"
    reason = "relaxing by the final committee's left the basin"
    try:
        left = relaxation_gain_eV(frame, CorrectedSurface(surface, [(frame, label)]), settings, label.fmax_eV_A)
    except CalculationFailed as error:
        logger.warning("%s: no value of the final committee at the ground state: %s", frame.key, error)
        left, reason = None, "the final committee has no value there: its prior failed"
    if left is None:
        why = f"a soft mode's curvature, as {reason}"
        return ResidualEnergy(harmonic_residual_eV(label), what + why + rest)
    return ResidualEnergy(math.hypot(*left), what + "the final committee's curvature" + rest)
