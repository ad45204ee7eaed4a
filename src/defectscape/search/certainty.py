"""Is the verified ground state certain, or could a minimum that was not verified still be lower?

What the model says of an unverified minimum is corrected by what the engine said of its errors on the
verified ones of the same charge: their mean is taken off, their scatter and the committee's own
disagreement are its uncertainty. A minimum that is twice that above the verified ground state cannot be it.
A verified minimum whose relaxation ended early may fall further, by what its forces say.
Nor is a ground state certain that lies above a structure which the engine labelled for training.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from defectscape.domain.frame import Frame
from defectscape.domain.label import Label
from defectscape.domain.minimum import Minimum, VerifiedMinimum
from defectscape.search.matching import Operations
from defectscape.search.merging import foremost, nearest
from defectscape.settings.search import Verification

WIDTHS = 2.0
"""Standard uncertainties that a minimum must lie above the ground state."""
LEAST_SCATTER_EV = 0.03
"""Two or three errors that agree by chance are no better than this."""
UNKNOWN_SCATTER_EV = 0.1
"""Scatter of the model's errors where only one is known."""
SOFT_MODE_EV_A2 = 1.0
"""Curvature of a soft mode, 100 u at 1.6 THz, along which forces F are left at F^2 / 2k above the minimum.

Thirteen relaxations from minima of models, by HSE06 (Sb2Se3) and xTB (CdTe), had 64 geometries that were the lowest
so far but not in the end. They fell further by 0.36 times that (median), 9 of 10 by less than twice that, the worst
by six times: a slope that is still long may be flat. Below 0.15 eV/A (eight of them) by less than half of it.
"""


@dataclass(frozen=True)
class Certainty:
    """The verdict on one charge state.

    Attributes:
        certain: whether none of the other minima found can be lower by more than the tolerance.
        rivals: ranks of those that can, the most dangerous first, verified ones that may fall further among them.
        text: why, in words.
    """

    certain: bool
    rivals: tuple[int, ...]
    text: str


def judge(
    minima: Sequence[Minimum],
    verified: Sequence[VerifiedMinimum],
    tolerance_eV: float,
    known_eV: float = math.inf,
) -> Certainty:
    """Compare the minima of one key with its verified ground state.

    Args:
        minima: of one defect and charge, as the search ranked them.
        verified: those that the engine was asked of.
        tolerance_eV: a ground state may be missed by this much.
        known_eV: the engine's lowest energy of this key apart from verification; infinite without any.
    """
    labelled = [
        item for item in verified if item.label is not None and item.final_label is not None
    ]
    if not labelled:
        return Certainty(False, tuple(m.rank for m in minima), "no minimum was verified")
    asked = {item.minimum.rank for item in verified}
    failed = [item.minimum.rank for item in verified if item.label is None]
    best = min(labelled, key=attrgetter("final_energy_eV"))
    ground_eV = best.final_energy_eV
    shift_eV, scatter_eV = _model_errors(labelled)
    reference = np.array(labelled[0].minimum.member_energies_eV)
    margins: dict[int, float] = {}
    for minimum in minima:
        if minimum.rank in asked:
            continue
        spread = np.array(minimum.member_energies_eV) - reference
        width = math.hypot(scatter_eV, float(np.std(spread, ddof=1)) if len(spread) > 1 else 0.0)
        margins[minimum.rank] = minimum.energy_eV - shift_eV - ground_eV - WIDTHS * width
    unfinished = {
        item.minimum.rank: item.final_energy_eV
        - ground_eV
        - WIDTHS * soft_left_eV(item.final_label)
        for item in labelled
        if item is not best
    }
    every = {**margins, **unfinished}
    rivals = sorted((r for r, m in every.items() if m < -tolerance_eV), key=every.__getitem__)
    if failed:
        text = f"the engine failed on minimum {', '.join(map(str, failed))}"
        return Certainty(False, (*rivals, *failed), text)
    if known_eV < ground_eV - tolerance_eV:
        text = (
            f"a structure that was labelled for training lies {ground_eV - known_eV:.2f} eV lower"
        )
        return Certainty(False, tuple(rivals), text)
    if rivals:
        texts = [
            _rivals_text(kind, verb, [among[r] for r in rivals if r in among])
            for kind, verb, among in (
                ("unverified", "could be lower", margins),
                ("verified", "could fall lower, as the relaxation ended early", unfinished),
            )
            if any(r in among for r in rivals)
        ]
        return Certainty(False, tuple(rivals), "; ".join(texts))
    if not margins:
        return Certainty(True, (), f"all {len(asked)} minima found were verified")
    closest = min(every.values())
    return Certainty(
        True, (), f"no other minimum found can be lower (margin {closest + tolerance_eV:.2f} eV)"
    )


def first_to_verify(
    minima: Sequence[Minimum], count: int, known: Frame | None, operations: Operations
) -> list[Minimum]:
    """What the engine is asked of in any case, in this order.

    Args:
        minima: of one defect key, as the search ranked them.
        count: how many of the foremost ones.
        known: the structure of this key that the engine has lowest so far, if it has one. The minimum nearest
            to it comes first: there the engine has said more than the model can say of any other.
        operations: symmetry operations of the host's supercell to compare under.

    Returns:
        That minimum, the foremost ones, and the one that the unperturbed start reached.
    """
    ranks = {minimum.rank for minimum in foremost(minima, count)}
    others = [m for m in minima if m.rank in ranks or m.from_unperturbed]
    if known is None or not minima:
        return others
    low = nearest(known, minima, operations)
    return [low, *(m for m in others if m.rank != low.rank)]


def next_to_verify(
    minima: Sequence[Minimum],
    verified: Sequence[VerifiedMinimum],
    turns: Mapping[int, int],
    settings: Verification,
) -> list[Minimum]:
    """The most dangerous rival, while the budget lasts, then the ground state if its relaxation ended early.

    Args:
        minima: of one defect key.
        verified: what the engine said so far.
        turns: how many times ``relax_steps`` each rank has had. One that used them all may go on; one whose
            relaxation failed or ended by itself has nothing more to say.
        settings: with the budget of turns.
    """
    if settings.most_per_charge is None or sum(turns.values()) >= settings.most_per_charge:
        return []
    over = {
        item.minimum.rank
        for item in verified
        if settings.relax_steps == 0
        or item.relax_steps < settings.relax_steps * turns[item.minimum.rank]
    }
    waiting = [*judge(minima, verified, settings.tolerance_eV).rivals]
    best = min(verified, key=attrgetter("final_energy_eV"))
    if WIDTHS * soft_left_eV(best.final_label) > settings.tolerance_eV:
        waiting.append(best.minimum.rank)
    open_ = [rank for rank in waiting if rank not in over]
    return [minimum for minimum in minima if minimum.rank in open_[:1]]


def _rivals_text(kind: str, verb: str, margins_eV: Sequence[float]) -> str:
    noun = "minimum" if len(margins_eV) == 1 else "minima"
    return f"{len(margins_eV)} {kind} {noun} {verb}, by {-min(margins_eV):.2f} eV at most"


def soft_left_eV(label: Label | None) -> float:
    """What a relaxation that ended early with this label may still fall by, along soft modes, eV."""
    if label is None:
        return 0.0
    return float(np.sum(label.forces_eV_A**2)) / (2.0 * SOFT_MODE_EV_A2)


def _model_errors(labelled: Sequence[VerifiedMinimum]) -> tuple[float, float]:
    """What must be taken off a model energy to meet the engine's relaxed one, and its scatter, eV."""
    errors = [
        item.minimum.energy_eV - item.final_label.energy_eV
        for item in labelled
        if item.final_label is not None
    ]
    if len(errors) == 1:
        return errors[0], UNKNOWN_SCATTER_EV
    return float(np.mean(errors)), max(LEAST_SCATTER_EV, float(np.std(errors, ddof=1)))
