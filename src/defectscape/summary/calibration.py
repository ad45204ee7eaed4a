"""What the calibration says in the summary: factors, error bars, and a test that nobody trained on."""

from itertools import pairwise

import numpy as np

from defectscape.domain.minimum import Minimum
from defectscape.model.calibration import ACROSS_CHARGES, Scale, error_bar
from defectscape.study.context import StudyContext
from defectscape.study.evaluation import read_calibration
from defectscape.study.minima import read_verified
from defectscape.summary.schema import CalibrationRow, LevelTestRow


def scale_of(context: StudyContext, quantity: str) -> Scale | None:
    """The high fidelity's scale of a quantity, if the model has that fidelity."""
    high = context.fidelity_names[1]
    found = [s for s in read_calibration(context) if (s.fidelity, s.quantity) == (high, quantity)]
    return found[0] if found else None


def relative_bar_eV(scale: Scale | None, one: Minimum, other: Minimum) -> float | None:
    """Standard uncertainty of the model's energy difference of two minima of one search, eV."""
    if scale is None or one.rank == other.rank:
        return None
    return error_bar(scale, np.subtract(one.member_energies_eV, other.member_energies_eV))


def calibration_rows(context: StudyContext) -> list[CalibrationRow]:
    """All factors with their coverage."""
    return [
        CalibrationRow(
            fidelity=scale.fidelity,
            quantity=scale.quantity,
            members=scale.members,
            frames=scale.frames,
            families=scale.families,
            typical_spread=None if np.isnan(scale.typical) else scale.typical,
            factor68=scale.factor68,
            factor68_std=scale.factor68_std,
            factor95=scale.factor95,
            test_frames=scale.test_frames,
            coverage68_before=scale.before68,
            coverage95_before=scale.before95,
            coverage68_after=scale.after68,
            coverage95_after=scale.after95,
            rank_correlation=scale.rank_correlation,
            reason=scale.reason,
        )
        for scale in read_calibration(context)
    ]


def level_tests(context: StudyContext) -> list[LevelTestRow]:
    """Transition levels as the searching committee predicted them, against the engine.

    Both at the model's geometries of its lowest minima, before it had seen their labels. Charge states
    of one exploration group only: members of different committees have no common difference.
    """
    scale, rows = scale_of(context, ACROSS_CHARGES), []
    for group in context.groups:
        lowest = [
            item
            for key in sorted(group.keys, key=lambda key: -key.charge)
            for item in read_verified(context, group.name, key)
            if item.minimum.rank == 0
        ]
        known = [(i.minimum, e) for i in lowest if (e := i.model_error_eV) is not None]
        rows += [_level_test(upper, lower, scale) for upper, lower in pairwise(known)]
    return rows


def _level_test(upper: tuple[Minimum, float], lower: tuple[Minimum, float], scale: Scale | None) -> LevelTestRow:
    """Of two minima with the model's errors, eV."""
    (above, above_error_eV), (below, below_error_eV) = upper, lower
    first, second = above.frame.key, below.frame.key
    charges = first.charge - second.charge
    # The level is [E(lower) - E(upper)] / (number of electrons between them), less the band edge.
    error_eV = (below_error_eV - above_error_eV) / charges
    members = np.subtract(below.member_energies_eV, above.member_energies_eV)
    # The scale is of energy differences, so the division by the charges comes after it.
    bar = None if scale is None else error_bar(scale, members)
    return LevelTestRow(
        defect=first.defect,
        upper_charge=first.charge,
        lower_charge=second.charge,
        model_error_eV=error_eV,
        bar_eV=None if bar is None else bar / charges,
    )
