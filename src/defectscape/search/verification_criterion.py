"""Is the ground state of a charge state finished, and is it certain?

It is finished if the engine's own relaxation of it has converged, and that of the unperturbed start as well, which
may not end lower; nor may a structure lie lower that was labelled for training. Otherwise the state is open.

It is certain if moreover nothing that was found can be lower. The model's energy of an unverified minimum is
corrected by the mean of the model's errors on the verified minima of the same charge. Its uncertainty is the scatter
of those errors combined with the committee's standard deviation. A minimum whose corrected energy lies more than
``WIDTHS`` such uncertainties above the verified ground state is excluded.
A verified minimum whose relaxation ended early may still relax to a lower energy; its residual forces say by how
much. And a model that errs much on the minima that it found has searched another surface than the engine's: what it
did not find says nothing.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal

import numpy as np

from defectscape.domain.frame import Frame
from defectscape.domain.label import Label
from defectscape.domain.minimum import PLAIN, Minimum, VerifiedMinimum
from defectscape.search.matching import Operations
from defectscape.search.merging import lowest_including_doubtful, nearest
from defectscape.settings.search import VerificationSettings

WIDTHS = 2.0
"""A minimum is excluded as ground state if it lies more than this many standard uncertainties above it."""
LEAST_SCATTER_EV = 0.03
"""Least scatter assumed for the model's errors: two or three may agree by chance."""
UNKNOWN_SCATTER_EV = 0.1
"""Scatter assumed where only one error is known."""
SOFT_MODE_EV_A2 = 1.0
"""Force constant k assumed for the softest mode (100 u at 1.6 THz).

A structure with residual force F is then F^2 / 2k above its minimum. Calibrated on 64 intermediate structures of 13
relaxations that began at model minima (HSE06 for Sb2Se3, xTB for CdTe): the true remaining energy was 0.36 (median)
and below 2 (90th percentile) times this estimate, 6 times at worst; below half of it for the eight structures
with forces under 0.15 eV/A.
"""


Status = Literal["certain", "verified", "open"]
"""``open``: not finished. ``verified``: finished, but another structure may be lower. ``certain``: neither."""


@dataclass(frozen=True)
class Assessment:
    """How far the ground state of one charge state can be trusted.

    Attributes:
        status: open, verified or certain.
        candidates_below: ranks of the minima that can be lower by more than the tolerance, the one that may be
            lowest first; verified minima that may relax further are among them.
        text: the reason, in words.
    """

    status: Status
    candidates_below: tuple[int, ...]
    text: str

    @property
    def certain(self) -> bool:
        """Whether it is finished, and nothing that was found can be lower by more than the tolerance."""
        return self.status == "certain"

    def within(self, bar_eV: float, tolerance_eV: float) -> "Assessment":
        """The same for a ground state whose energy has a standard uncertainty, eV: no certainty beyond a tolerance."""
        if not self.certain or bar_eV <= tolerance_eV:
            return self
        return replace(self, status="verified", text=f"its energy may still fall by {bar_eV:.3f} eV")


def assess(
    minima: Sequence[Minimum],
    verified: Sequence[VerifiedMinimum],
    settings: VerificationSettings,
    known_eV: float = math.inf,
    error_eV: float | None = None,
    same: Collection[int] = (),
) -> Assessment:
    """Compare the minima of one key with its verified ground state.

    Args:
        minima: of one defect and charge, as the search ranked them.
        verified: those with a label of the engine, or a failed one.
        settings: convergence and tolerances.
        known_eV: the engine's lowest energy of this key apart from verification; infinite without any.
        error_eV: how wrong the model was about what it found, eV; None for its errors on ``verified``.
        same: ranks whose finished relaxations ended in the ground state's own minimum: they can fall no lower than it.
    """
    labelled = [item for item in verified if item.label is not None and item.final_label is not None]
    if not labelled:
        return Assessment("open", tuple(m.rank for m in minima), "no minimum was verified")
    ground_eV = min(item.final_energy_eV for item in labelled)
    asked = {item.minimum.rank for item in verified}
    failed = [item.minimum.rank for item in verified if item.label is None]
    unverified = _unverified_margins_eV([m for m in minima if m.rank not in asked], labelled, ground_eV)
    unfinished = _unfinished_margins_eV([item for item in labelled if item.minimum.rank not in same])
    every = {**unverified, **unfinished}
    below = tuple(sorted((r for r, m in every.items() if m < -settings.tolerance_eV), key=every.__getitem__))
    below = (*below, *(rank for rank in failed if rank not in below))
    missing = _missing(labelled, settings, known_eV, ground_eV)
    if missing:
        return Assessment("open", below, "; ".join(missing))
    wrong_eV = search_error_eV(labelled) if error_eV is None else error_eV
    doubts = _candidate_doubts(below, unverified, unfinished)
    if failed:
        doubts.append(f"the engine failed on minimum {', '.join(map(str, failed))}")
    if wrong_eV > settings.search_error_eV:
        doubts.append(f"the model that searched errs by up to {wrong_eV:.2f} eV on what it found")
    if doubts:
        return Assessment("verified", below, "; ".join(doubts))
    if not unverified:
        found = f"all {len(minima)} minima found were verified" if len(minima) > 1 else "no other minimum was found"
        return Assessment("certain", (), found)
    margin_eV = min(every.values()) + settings.tolerance_eV
    return Assessment("certain", (), f"no other minimum found can be lower (margin {margin_eV:.2f} eV)")


def _missing(
    labelled: Sequence[VerifiedMinimum], settings: VerificationSettings, known_eV: float, ground_eV: float
) -> list[str]:
    """What keeps a ground state from being finished, in words."""
    found = []
    ground = min(labelled, key=attrgetter("final_energy_eV"))
    if not finished(ground, settings):
        found.append(f"its relaxation is not finished: {_force_left(ground, settings)}")
    if settings.plain_relaxation:
        plain = next((item for item in labelled if PLAIN in item.minimum.found_from), None)
        if plain is None:
            found.append("the relaxation of the unperturbed start with the engine failed")
        elif plain is not ground and not finished(plain, settings):
            found.append(f"the relaxation of the unperturbed start is not finished: {_force_left(plain, settings)}")
    if known_eV < ground_eV - settings.tolerance_eV:
        found.append(f"a structure that was labelled for training lies {ground_eV - known_eV:.2f} eV lower")
    return found


def finished(item: VerifiedMinimum, settings: VerificationSettings) -> bool:
    """Whether the engine's relaxation of a minimum has converged."""
    return item.final_label is not None and item.final_label.fmax_eV_A < settings.fmax_eV_A


def _force_left(item: VerifiedMinimum, settings: VerificationSettings) -> str:
    left_eV_A = math.nan if item.final_label is None else item.final_label.fmax_eV_A
    return f"{left_eV_A:.2f} eV/A left, {settings.fmax_eV_A:g} asked for"


def _candidate_doubts(
    below: Sequence[int], unverified: Mapping[int, float], unfinished: Mapping[int, float]
) -> list[str]:
    return [
        _candidates_text(kind, verb, [among[r] for r in below if r in among])
        for kind, verb, among in (
            ("unverified", "could be lower", unverified),
            ("verified", "could fall lower, as the relaxation ended early", unfinished),
        )
        if any(r in among for r in below)
    ]


def search_error_eV(labelled: Sequence[VerifiedMinimum], among: Sequence[VerifiedMinimum] = ()) -> float:
    """How wrong a model was about its own minima, eV: the largest of two kinds of errors.

    The one: its energies of them against each other, before it knew the labels. The other: how far the engine's
    relaxation falls from one. A constant error changes no order and is no part of it.

    Args:
        labelled: minima that the model found, with the engine's labels.
        among: those whose mean error is the constant; ``labelled`` if there are none.
    """
    errors = [item.model_error_eV for item in labelled if item.model_error_eV is not None]
    known = [item.model_error_eV for item in among or labelled if item.model_error_eV is not None]
    mean_eV = float(np.mean(known)) if known else 0.0
    falls = [item.label.energy_eV - item.final_energy_eV for item in labelled if item.label is not None]
    return max([abs(error - mean_eV) for error in errors] + falls, default=0.0)


def _unverified_margins_eV(
    minima: Sequence[Minimum], labelled: Sequence[VerifiedMinimum], ground_eV: float
) -> dict[int, float]:
    """By rank: the lowest energy that an unverified minimum may have, above the ground state, eV."""
    shift_eV, scatter_eV = _model_errors(labelled)
    reference = np.array(labelled[0].minimum.member_energies_eV)
    margins = {}
    for minimum in minima:
        # Members are differenced first: an error that shifts a member as a whole cancels.
        spread = np.array(minimum.member_energies_eV) - reference
        width = math.hypot(scatter_eV, float(np.std(spread, ddof=1)) if len(spread) > 1 else 0.0)
        margins[minimum.rank] = minimum.energy_eV - shift_eV - ground_eV - WIDTHS * width
    return margins


def _unfinished_margins_eV(labelled: Sequence[VerifiedMinimum]) -> dict[int, float]:
    """By rank: the lowest energy that a verified minimum may relax to, above the ground state, eV."""
    if not labelled:
        return {}
    best = min(labelled, key=attrgetter("final_energy_eV"))
    return {
        item.minimum.rank: item.final_energy_eV - best.final_energy_eV - WIDTHS * harmonic_residual_eV(item.final_label)
        for item in labelled
        if item is not best
    }


def first_to_verify(
    minima: Sequence[Minimum], count: int, known: Frame | None, operations: Operations
) -> list[Minimum]:
    """The minima that are verified in any case, in order.

    Args:
        minima: of one defect key, as the search ranked them.
        count: how many of the lowest, and as many again of the lowest that are not doubtful.
        known: the structure of this key with the engine's lowest energy so far, if there is one. The minimum
            nearest to it comes first: a label there is worth more than the model's order of the others.
        operations: symmetry operations of the host's supercell to compare under.

    Returns:
        That minimum, the lowest ones, and the one that the unperturbed start reached.
    """
    ranks = {minimum.rank for minimum in lowest_including_doubtful(minima, count)}
    others = [m for m in minima if m.rank in ranks or m.from_unperturbed]
    if known is None or not minima:
        return others
    low = nearest(known, minima, operations)
    return [low, *(m for m in others if m.rank != low.rank)]


def next_to_verify(
    minima: Sequence[Minimum],
    verified: Sequence[VerifiedMinimum],
    turns: Mapping[int, int],
    settings: VerificationSettings,
    same: Collection[int] = (),
) -> list[int]:
    """While the budget lasts: the candidate that may be lowest, then what is not finished.

    Args:
        minima: of one defect key.
        verified: those verified so far.
        turns: how many turns of ``relax_steps`` each rank has had. A relaxation that used all its steps may go
            on; one that failed or ended by itself is over.
        settings: with the budget of turns.
        same: ranks whose finished relaxations ended in the ground state's own minimum.

    Returns:
        The rank of one, or none. A relaxation from the unperturbed start, and the ground state's own, come last.
    """
    if sum(turns.values()) >= settings.most_per_charge:
        return []
    over = {
        item.minimum.rank
        for item in verified
        if settings.relax_steps == 0 or item.relax_steps < settings.relax_steps * turns[item.minimum.rank]
    }
    waiting = [*assess(minima, verified, settings, same=same).candidates_below]
    ground = min(verified, key=attrgetter("final_energy_eV"))
    plain = [item for item in verified if PLAIN in item.minimum.found_from]
    waiting += [item.minimum.rank for item in (ground, *plain) if not finished(item, settings)]
    open_ = [rank for rank in waiting if rank not in over]
    return open_[:1]


def _candidates_text(kind: str, verb: str, margins_eV: Sequence[float]) -> str:
    noun = "minimum" if len(margins_eV) == 1 else "minima"
    return f"{len(margins_eV)} {kind} {noun} {verb}, by {-min(margins_eV):.2f} eV at most"


def harmonic_residual_eV(label: Label | None) -> float:
    """Energy of a labelled geometry above its minimum, estimated in a harmonic soft mode, eV: F^2 / 2k."""
    if label is None:
        return 0.0
    return float(np.sum(label.forces_eV_A**2)) / (2.0 * SOFT_MODE_EV_A2)


def _model_errors(labelled: Sequence[VerifiedMinimum]) -> tuple[float, float]:
    """Mean and scatter, eV, of the model's energy at its minimum less the engine's relaxed energy."""
    errors = [item.minimum.energy_eV - item.final_label.energy_eV for item in labelled if item.final_label is not None]
    if len(errors) == 1:
        return errors[0], UNKNOWN_SCATTER_EV
    return float(np.mean(errors)), max(LEAST_SCATTER_EV, float(np.std(errors, ddof=1)))
