"""The ground state of each key, with what its energy rests on."""

import logging
import math
from dataclasses import dataclass

import numpy as np

from defectscape.domain.frame import Frame
from defectscape.domain.label import Label
from defectscape.search.certainty import soft_left_eV
from defectscape.search.relaxation import relax
from defectscape.search.surface import Surface
from defectscape.search.tied import TiedSurface
from defectscape.settings.search import Search

logger = logging.getLogger(__name__)

SAME_BASIN_A = 0.3
"""A final relaxation that moves an atom further has left the basin and says nothing about it."""
LEAST_FMAX_EV_A = 0.002
"""Forces in single precision are not followed further down."""


def left_eV(
    frame: Frame, surface: Surface, settings: Search, fmax_eV_A: float
) -> tuple[float, float] | None:
    """What relaxing further would gain: mean and spread over members, eV.

    To the search's convergence, or to half of the forces where the engine is below that already and nothing would
    seem left to gain; then on to a tenth of them, as long as that stays in the basin: soft modes may not.

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
        result = relax(frame, surface, settings.model_copy(update={"fmax_eV_A": target_eV_A}))
        moved = np.linalg.norm(result.final.positions_A - frame.positions_A, axis=1).max()
        if not result.trusted or moved > SAME_BASIN_A:
            text = "%s: final relaxation to %.3f eV/A %s, moved %.2f A"
            logger.warning(text, frame.key, target_eV_A, result.reason, moved)
            break
        gains = before - np.array(result.member_energies_eV)
        found = max(float(gains.mean()), 0.0), float(gains.std(ddof=1))
    return found


@dataclass(frozen=True)
class Left:
    """What relaxing a verified ground state further would still gain.

    Attributes:
        uncertainty_eV, origin: what its energy is uncertain by for it, eV, and how that was found.
        gain_eV: by the final committee's curvature, eV; None if its relaxation failed or left the basin.
    """

    uncertainty_eV: float
    origin: str
    gain_eV: float | None


def what_is_left(frame: Frame, label: Label, surface: Surface, settings: Search) -> Left:
    """From the engine's forces, and the curvature of the model or, where that leads away, of a soft mode.

    Args:
        frame, label: where the engine's relaxation ended.
        surface: the final committee's.
        settings: of the search.
    """
    what = "what relaxing it further would still gain: the engine's forces, "
    rest = "; the finite-size error is not in it"
    left = left_eV(frame, TiedSurface(surface, [(frame, label)]), settings, label.fmax_eV_A)
    if left is None:
        why = "a soft mode's curvature, as relaxing by the final committee's left the basin"
        return Left(soft_left_eV(label), what + why + rest, None)
    return Left(math.hypot(*left), what + "the final committee's curvature" + rest, left[0])
