r"""Calibration: from a committee's standard deviation to an error bar, on frames it was not trained on.

The standard deviation over the members says where a committee is unsure, not by how much it is wrong. So it is compared
with the errors on the validation families, a factor is read off, and the factor is tried on the test families, which
had no part in it.

Three quantities, each with its own factor, since their errors have different origins:

* ``FORCE``: a Cartesian component of the force on an atom;
* ``SAME_CHARGE``: the energy difference of two frames of one defect and charge (relative energies of minima);
* ``ACROSS_CHARGES``: the energy difference of two frames of one defect in two charges (transition levels).

Members are differenced first: what shifts a member as a whole cancels, as it does in the quantities that
are reported. With *m* members a standard deviation has few degrees of freedom and is now and then absurdly
small, so it is moderated as if :math:`\nu_0` more had been seen at the typical one, :math:`s_0`, of the
calibration frames (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3 (2004)):

.. math:: \sigma^2 = \frac{\nu_0 s_0^2 + (m - 1) s^2}{\nu_0 + m - 1}

The factors are the 68.27% and 95.45% quantiles of \|error\|/sigma: no distribution is assumed, and heavy tails
make the second more than twice the first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.stats import spearmanr

from defectscape.domain.frame import Floats
from defectscape.domain.label import LabelledFrame
from defectscape.domain.prediction import Prediction
from defectscape.domain.statistics import rms

FORCE, SAME_CHARGE, ACROSS_CHARGES = QUANTITIES = ("force", "within", "between")
"""The words that files have for them."""
LEVELS = (0.6827, 0.9545)
PRIOR = 3.0
"""Degrees of freedom of the typical standard deviation."""
FEWEST_FRAMES = 6
"""Fewer frames than this give no factor."""
RESAMPLES = 100
MOST_PAIRED_FRAMES = 120
"""Pairs are made of at most so many frames, evenly taken."""

Coverage = tuple[float | None, float | None, float | None, float | None, float | None]
Judged = tuple[LabelledFrame, Prediction]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The factor of one quantity at one fidelity.

    Attributes:
        fidelity, quantity: what it is for.
        members: of the committee.
        frames, families: validation frames and geometry families it rests on.
        typical: typical committee standard deviation of the calibration frames, eV or eV/A.
        factor68, factor95: on the moderated standard deviation; None if there are too few frames.
        factor68_std: its standard deviation when the frames are drawn again; None with the factors.
        test_frames: test frames that the coverages are of.
        before68, before95: share of test errors within one and two standard deviations, as the committee gives them.
        after68, after95: share within the calibrated bars.
        rank_correlation: Spearman's, between moderated standard deviation and error on the test frames.
        reason: why there is no factor, or empty.
    """

    fidelity: str
    quantity: str
    members: int
    frames: int
    families: int
    typical: float
    factor68: float | None = None
    factor95: float | None = None
    factor68_std: float | None = None
    test_frames: int
    before68: float | None = None
    before95: float | None = None
    after68: float | None = None
    after95: float | None = None
    rank_correlation: float | None = None
    reason: str


def moderated(committee_std: Floats | float, typical: float, members: int) -> Floats:
    """The module's equation; ``committee_std``, of any shape, and ``typical`` in one unit."""
    free = members - 1
    mean = (PRIOR * typical**2 + free * np.square(committee_std)) / (PRIOR + free)
    return np.asarray(np.sqrt(mean))


def error_bar(scale: Scale, member_values: Sequence[float] | Floats) -> float | None:
    """One standard uncertainty of a quantity that each member has a value of; None without a factor.

    Args:
        scale: of the quantity.
        member_values: one difference per member, eV.
    """
    if scale.factor68 is None or len(member_values) < 2:
        return None
    committee_std = float(np.std(member_values, ddof=1))
    return scale.factor68 * float(moderated(committee_std, scale.typical, len(member_values)))


def calibrate(
    valid: Sequence[Judged], test: Sequence[Judged], fidelity: str, rng: np.random.Generator
) -> tuple[Scale, ...]:
    """The three factors of one fidelity.

    Args:
        valid: frames of validation families with the committee's predictions: the factors.
        test: frames of test families: the coverages.
        fidelity: of both.
        rng: for the resampling.
    """
    return tuple(_scale(valid, test, fidelity, quantity, rng) for quantity in QUANTITIES)


def _scale(
    valid: Sequence[Judged],
    test: Sequence[Judged],
    fidelity: str,
    quantity: str,
    rng: np.random.Generator,
) -> Scale:
    measure = MEASURES[quantity]
    errors, stds = measure(valid)
    members = len(valid[0][1].member_energies_eV) if valid else 0
    reason = ""
    if members < 2:
        reason = "a committee of one has no standard deviation"
    elif len(valid) < FEWEST_FRAMES or len(errors) == 0:
        reason = f"{len(valid)} validation frames, {FEWEST_FRAMES} are needed"
    typical = rms(stds)
    if not reason and not typical > 0:
        reason = "the members agree to the last bit"
    scale = Scale(
        fidelity=fidelity,
        quantity=quantity,
        members=members,
        frames=len(valid),
        families=len({item.frame.family for item, _ in valid}),
        typical=typical,
        test_frames=len(test),
        reason=reason,
    )
    if reason:
        return scale
    ratios = np.abs(errors) / moderated(stds, typical, members)
    low, high = (float(np.quantile(ratios, level)) for level in LEVELS)
    before68, before95, after68, after95, correlation = _coverage(measure(test), typical, members, low, high)
    return replace(
        scale,
        factor68=low,
        factor95=high,
        factor68_std=_resampled(valid, measure, members, rng),
        before68=before68,
        before95=before95,
        after68=after68,
        after95=after95,
        rank_correlation=correlation,
    )


def _coverage(pairs: tuple[Floats, Floats], typical: float, members: int, low: float, high: float) -> Coverage:
    """Shares within one and two raw standard deviations, within both bars, and the rank correlation."""
    errors, stds = np.abs(pairs[0]), pairs[1]
    if len(errors) == 0:
        return None, None, None, None, None
    bars = moderated(stds, typical, members)
    correlation = float(spearmanr(bars, errors).statistic) if len(errors) > 2 else float("nan")
    return (
        float(np.mean(errors <= stds)),
        float(np.mean(errors <= 2 * stds)),
        float(np.mean(errors <= low * bars)),
        float(np.mean(errors <= high * bars)),
        correlation if np.isfinite(correlation) else None,
    )


def _resampled(valid: Sequence[Judged], measure: "Measure", members: int, rng: np.random.Generator) -> float:
    """Standard deviation of the factor over frames drawn again with replacement."""
    found = []
    for _ in range(RESAMPLES):
        drawn = [valid[i] for i in rng.integers(0, len(valid), len(valid))]
        errors, stds = measure(drawn)
        typical = rms(stds)
        if typical > 0:
            ratios = np.abs(errors) / moderated(stds, typical, members)
            found.append(float(np.quantile(ratios, LEVELS[0])))
    return float(np.std(found)) if found else float("nan")


Measure = Callable[[Sequence[Judged]], tuple[Floats, Floats]]
"""Errors and committee standard deviations, both (k,), of a quantity over judged frames."""


def _forces(judged: Sequence[Judged]) -> tuple[Floats, Floats]:
    """Components; the committee gives the norm over x, y, z, of which a component has a third."""
    if not judged:
        return np.zeros(0), np.zeros(0)
    errors = [(item.label.forces_eV_A - point.forces_eV_A).ravel() for item, point in judged]
    stds = [np.repeat(point.force_std_eV_A / np.sqrt(3), 3) for _, point in judged]
    return np.concatenate(errors), np.concatenate(stds)


def _same_charge(judged: Sequence[Judged]) -> tuple[Floats, Floats]:
    return _differences(judged, same_charge=True)


def _across_charges(judged: Sequence[Judged]) -> tuple[Floats, Floats]:
    return _differences(judged, same_charge=False)


MEASURES: dict[str, Measure] = {
    FORCE: _forces,
    SAME_CHARGE: _same_charge,
    ACROSS_CHARGES: _across_charges,
}


def _differences(judged: Sequence[Judged], *, same_charge: bool) -> tuple[Floats, Floats]:
    """Errors and committee standard deviations (eV) of energy differences of one defect's frames; members first."""
    errors, stds = [], []
    for (one, first), (other, second) in _pairs(judged, same_charge):
        members = np.subtract(first.member_energies_eV, second.member_energies_eV)
        label = one.label.energy_eV - other.label.energy_eV
        errors.append(members.mean() - label)
        stds.append(members.std(ddof=1) if len(members) > 1 else np.nan)
    return np.array(errors), np.array(stds)


def _pairs(judged: Sequence[Judged], same_charge: bool) -> Iterator[tuple[Judged, Judged]]:
    chosen = judged[:: -(-len(judged) // MOST_PAIRED_FRAMES)] if judged else []
    for one, other in combinations(chosen, 2):
        mine, theirs = one[0].frame, other[0].frame
        # A frame that was drawn twice is no pair, nor are cells of different atoms.
        alike = mine.key.defect == theirs.key.defect and len(mine) == len(theirs)
        if alike and (mine.charge == theirs.charge) == same_charge and mine is not theirs:
            yield one, other
