r"""Calibration: from the spread of a committee to an error bar, on frames it was not trained on.

A committee's spread says where it is unsure, not by how much it is wrong. So its spread is compared
with its errors on the validation families, a factor is read off, and what the factor is worth is seen on
the test families, which had no part in it.

Three quantities, each with its own factor, since their errors have different origins:

* ``force``: a Cartesian component of the force on an atom;
* ``within``: the energy difference of two frames of one defect and charge (relative energies of minima);
* ``between``: the energy difference of two frames of one defect in two charges (transition levels).

Members are differenced first: what shifts a member as a whole cancels, as it does in the quantities that
are reported. With *m* members a standard deviation has few degrees of freedom and is now and then absurdly
small, so it is moderated as if :math:`\nu_0` more had been seen at the typical spread :math:`s_0` of the
calibration frames (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3 (2004)):

.. math:: \sigma^2 = \frac{\nu_0 s_0^2 + (m - 1) s^2}{\nu_0 + m - 1}

The factors are the 68.27% and 95.45% quantiles of \|error\|/sigma: no distribution is assumed, and heavy tails
make the second more than twice the first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import spearmanr

from defectscape.domain.frame import Floats
from defectscape.domain.label import LabelledFrame
from defectscape.domain.prediction import Prediction

QUANTITIES = ("force", "within", "between")
LEVELS = (0.6827, 0.9545)
PRIOR = 3.0
"""Degrees of freedom of the typical spread."""
FEWEST_FRAMES = 6
"""Fewer frames than this give no factor."""
RESAMPLES = 100
MOST_PAIRED_FRAMES = 120
"""Pairs are made of at most so many frames, evenly taken."""

Coverage = tuple[float | None, float | None, float | None, float | None, float | None]
Judged = tuple[LabelledFrame, Prediction]


@dataclass(frozen=True)
class Scale:
    """The factor of one quantity at one fidelity.

    Attributes:
        fidelity, quantity: what it is for.
        members: of the committee.
        frames, families: validation frames and geometry families it rests on.
        typical: typical spread of the calibration frames, eV or eV/A.
        factor68, factor95: on the moderated spread; None if there are too few frames.
        factor68_std: its standard deviation when the frames are drawn again; None with the factors.
        test_frames: test frames that the coverages are of.
        before68, before95: share of test errors within one and two spreads, as the committee gives it.
        after68, after95: share within the calibrated bars.
        rank_correlation: Spearman's, between moderated spread and error on the test frames.
        reason: why there is no factor, or empty.
    """

    fidelity: str
    quantity: str
    members: int
    frames: int
    families: int
    typical: float
    factor68: float | None
    factor95: float | None
    factor68_std: float | None
    test_frames: int
    before68: float | None
    before95: float | None
    after68: float | None
    after95: float | None
    rank_correlation: float | None
    reason: str


def moderated(spread: Floats | float, typical: float, members: int) -> Floats:
    """The module's equation; spreads and ``typical`` in one unit, of any shape."""
    free = members - 1
    mean = (PRIOR * typical**2 + free * np.square(spread)) / (PRIOR + free)
    return np.asarray(np.sqrt(mean))


def error_bar(scale: Scale, member_values: Sequence[float] | Floats) -> float | None:
    """One standard uncertainty of a quantity that each member has a value of; None without a factor.

    Args:
        scale: of the quantity.
        member_values: one difference per member, eV.
    """
    if scale.factor68 is None or len(member_values) < 2:
        return None
    spread = float(np.std(member_values, ddof=1))
    return scale.factor68 * float(moderated(spread, scale.typical, len(member_values)))


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
    valid: Sequence[Judged], test: Sequence[Judged], fidelity: str, quantity: str,
    rng: np.random.Generator,
) -> Scale:  # fmt: skip
    measure = MEASURES[quantity]
    errors, spreads = measure(valid)
    members = len(valid[0][1].member_energies_eV) if valid else 0
    families = len({item.frame.family for item, _ in valid})
    reason = ""
    if members < 2:
        reason = "a committee of one has no spread"
    elif len(valid) < FEWEST_FRAMES or len(errors) == 0:
        reason = f"{len(valid)} validation frames, {FEWEST_FRAMES} are needed"
    typical = float(np.sqrt(np.mean(np.square(spreads)))) if len(spreads) else float("nan")
    if not reason and not typical > 0:
        reason = "the members agree to the last bit"
    if reason:
        return Scale(
            fidelity, quantity, members, len(valid), families, typical, None, None, None,
            len(test), None, None, None, None, None, reason,
        )  # fmt: skip
    ratios = np.abs(errors) / moderated(spreads, typical, members)
    low, high = (float(np.quantile(ratios, level)) for level in LEVELS)
    coverage = _coverage(measure(test), typical, members, low, high)
    return Scale(
        fidelity, quantity, members, len(valid), families, typical, low, high,
        _resampled(valid, measure, members, rng), len(test), *coverage, "",
    )  # fmt: skip


def _coverage(
    pairs: tuple[Floats, Floats], typical: float, members: int, low: float, high: float
) -> Coverage:
    """Shares within one and two raw spreads, within both bars, and the rank correlation."""
    errors, spreads = np.abs(pairs[0]), pairs[1]
    if len(errors) == 0:
        return None, None, None, None, None
    bars = moderated(spreads, typical, members)
    correlation = float(spearmanr(bars, errors).statistic) if len(errors) > 2 else float("nan")
    return (
        float(np.mean(errors <= spreads)),
        float(np.mean(errors <= 2 * spreads)),
        float(np.mean(errors <= low * bars)),
        float(np.mean(errors <= high * bars)),
        correlation if np.isfinite(correlation) else None,
    )


def _resampled(
    valid: Sequence[Judged], measure: "Measure", members: int, rng: np.random.Generator
) -> float:
    """Standard deviation of the factor over frames drawn again with replacement."""
    found = []
    for _ in range(RESAMPLES):
        drawn = [valid[i] for i in rng.integers(0, len(valid), len(valid))]
        errors, spreads = measure(drawn)
        typical = float(np.sqrt(np.mean(np.square(spreads)))) if len(spreads) else 0.0
        if typical > 0:
            ratios = np.abs(errors) / moderated(spreads, typical, members)
            found.append(float(np.quantile(ratios, LEVELS[0])))
    return float(np.std(found)) if found else float("nan")


Measure = Callable[[Sequence[Judged]], tuple[Floats, Floats]]
"""Errors and spreads, both (k,), of a quantity over judged frames."""


def _forces(judged: Sequence[Judged]) -> tuple[Floats, Floats]:
    """Components; the committee gives the norm over x, y, z, of which a component has a third."""
    if not judged:
        return np.zeros(0), np.zeros(0)
    errors = [(item.label.forces_eV_A - point.forces_eV_A).ravel() for item, point in judged]
    spreads = [np.repeat(point.force_std_eV_A / np.sqrt(3), 3) for _, point in judged]
    return np.concatenate(errors), np.concatenate(spreads)


def _within(judged: Sequence[Judged]) -> tuple[Floats, Floats]:
    return _differences(judged, same_charge=True)


def _between(judged: Sequence[Judged]) -> tuple[Floats, Floats]:
    return _differences(judged, same_charge=False)


MEASURES: dict[str, Measure] = {"force": _forces, "within": _within, "between": _between}


def _differences(judged: Sequence[Judged], *, same_charge: bool) -> tuple[Floats, Floats]:
    """Errors and spreads (eV) of energy differences of one defect's frames; members first."""
    errors, spreads = [], []
    for (one, first), (other, second) in _pairs(judged, same_charge):
        members = np.subtract(first.member_energies_eV, second.member_energies_eV)
        label = one.label.energy_eV - other.label.energy_eV
        errors.append(members.mean() - label)
        spreads.append(members.std(ddof=1) if len(members) > 1 else np.nan)
    return np.array(errors), np.array(spreads)


def _pairs(judged: Sequence[Judged], same_charge: bool) -> Iterator[tuple[Judged, Judged]]:
    chosen = judged[:: -(-len(judged) // MOST_PAIRED_FRAMES)] if judged else []
    for one, other in combinations(chosen, 2):
        mine, theirs = one[0].frame, other[0].frame
        # A frame that was drawn twice is no pair, nor are cells of different atoms.
        alike = mine.key.defect == theirs.key.defect and len(mine) == len(theirs)
        if alike and (mine.charge == theirs.charge) == same_charge and mine is not theirs:
            yield one, other
