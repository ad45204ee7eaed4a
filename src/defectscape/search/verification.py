"""Verification of a minimum: the high-fidelity engine labels it and relaxes it from there.

BFGS would have to learn the curvature from tens of labels. Each step here goes instead to the minimum of
the model's surface, corrected by all labels of the relaxation so far, so a few labels are enough.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase.calculators.calculator import CalculationFailed

from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.label import Label
from defectscape.domain.minimum import Minimum, VerifiedMinimum
from defectscape.search.corrected_surface import CorrectedSurface, Observation, lowest_observation
from defectscape.search.relaxation import relax
from defectscape.search.surface import Surface, answers
from defectscape.settings.search import SearchSettings, VerificationSettings

logger = logging.getLogger(__name__)

REACH_A = 0.3
"""Trust radius: no atom moves further in one step. The model's curvature holds near a labelled geometry."""

PATH_FRAMES = 200
"""Most frames kept of the path to a corrected surface's minimum; the step ends where the path leaves the reach."""

SHRINK = 0.25
"""Factor on the reach after a step that raised the engine's energy; the next step starts at the lowest geometry."""

GROW = 2.0
"""Factor on the reach, up to ``REACH_A``, after a step that lowered it by most of what the surface said."""

HALVE = 0.5
"""Factor on the reach after a step that lowered it by little of what the surface said."""

LITTLE, MOST = 0.25, 0.75
"""Shares of the fall that the surface said: the usual ones of trust-region methods (Nocedal and Wright, Numerical
Optimization, 2006, algorithm 4.1)."""

NOTE = "verification"

Labeller = Callable[[Frame], Label | None]
"""Gives a frame's label, or None where the calculation failed."""


@dataclass(frozen=True, eq=False)
class Step:
    """A step from the lowest geometry of a relaxation.

    Attributes:
        frame: the next geometry.
        fall_eV: how far the energy falls to it, as the corrected surface has it, eV; NaN where that is not known.
    """

    frame: Frame
    fall_eV: float


Stepper = Callable[[Sequence[Observation], float], Step | None]
"""Gives the next step from the labelled geometries and the reach, A: how far an atom may move from the lowest.

None where the model has a value at none of them.
"""


def corrected_steps(
    surface: Surface, settings: SearchSettings, note: str = NOTE, limit_eV_A: float = math.inf
) -> Stepper:
    """Steps down a model's surface corrected by the engine's labels, to its minimum if that is within reach.

    Args:
        surface: the model, for its curvature.
        settings: how the corrected surface is relaxed; disagreement of the committee does not stop it, as
            the engine labels the end in any case.
        note: note of the frames.
        limit_eV_A: the force that the relaxation is to end below. A step that ends where the corrected surface is
            steeper than that could not reach it.

    Labelled geometries at which the model has no value, since its prior failed there, have no part in a step; where
    none is left, there is no step.
    """
    fmax_eV_A = min(settings.fmax_eV_A, limit_eV_A / 2)
    limits = settings.model_copy(update={"stop_force_std_eV_A": None, "fmax_eV_A": fmax_eV_A})

    def step(observations: Sequence[Observation], reach_A: float) -> Step | None:
        known = _known_to(surface, observations)
        if not known:
            return None
        frame, _ = lowest_observation(known)
        corrected = CorrectedSurface(surface, known)
        way = relax(frame, corrected, limits, PATH_FRAMES)
        positions_A = [reached.positions_A for reached in (*way.path, way.final)]
        moved = frame.positions_A + _within(reach_A, [there - frame.positions_A for there in positions_A])
        ahead = frame.moved(moved, origin=Origin.RELAXATION, note=note)
        return Step(ahead, _fall_eV(corrected, frame, ahead))

    return step


def _fall_eV(surface: Surface, here: Frame, ahead: Frame) -> float:
    """How far a surface falls from one geometry to another, eV; NaN where it has no value."""
    first, second = answers(surface, [here, ahead])
    if isinstance(first, CalculationFailed) or isinstance(second, CalculationFailed):
        return math.nan
    return first.energy_eV - second.energy_eV


def _known_to(surface: Surface, observations: Sequence[Observation]) -> list[Observation]:
    """Those at which the surface has a value; the others are logged."""
    known = []
    points = answers(surface, [frame for frame, _ in observations])
    for observation, point in zip(observations, points, strict=True):
        if isinstance(point, CalculationFailed):
            logger.warning("%s, %s: left out of the step: %s", observation[0].key, observation[0].note, point)
        else:
            known.append(observation)
    return known


def _within(reach_A: float, displacements_A: Sequence[Floats]) -> Floats:
    """The displacement at which a path first leaves the reach, or its last one.

    The step follows the path and not the chord to its end. The path begins along the engine's forces, so a short
    enough step lowers the energy; the energy along the chord across a bend may rise however short the step is.
    """
    before = np.zeros_like(displacements_A[0])
    for there in displacements_A:
        if np.linalg.norm(there, axis=1).max() > reach_A:
            return before + _share_within(reach_A, before, there) * (there - before)
        before = there
    return before


def _share_within(reach_A: float, inside_A: Floats, outside_A: Floats) -> float:
    """Share of the straight line from one displacement to another up to which no atom leaves the reach."""
    step_A = outside_A - inside_A
    # For each atom the positive root of |inside + share * step| = reach; the smallest share counts.
    square = np.sum(step_A**2, axis=1)
    along = np.sum(inside_A * step_A, axis=1)
    left = reach_A**2 - np.sum(inside_A**2, axis=1)
    moving = square > 0.0
    roots = (-along + np.sqrt(np.maximum(along**2 + square * left, 0.0)))[moving] / square[moving]
    return float(np.clip(roots.min(), 0.0, 1.0))


def verify(
    minimum: Minimum,
    label: Labeller,
    step: Stepper,
    settings: VerificationSettings,
    turns: int = 1,
    beside: Sequence[Observation] = (),
) -> tuple[VerifiedMinimum, tuple[Observation, ...]]:
    """Label a minimum, then relax it a few steps with the engine's forces; the lowest geometry is kept.

    Args:
        minimum: of the model.
        label: the engine.
        step: makes the next geometry.
        settings: steps of a turn, and the convergence.
        turns: how many turns of steps in all; those before are repeated from the store, without new calculations.
        beside: labelled geometries of another relaxation that ended next to the minimum: this one goes on from the
            lowest of all.

    Returns:
        The verified minimum, and all labelled frames in their order (to train on), the model's
        geometry first.
    """
    most_steps = turns * settings.relax_steps
    done = relax_with_engine(minimum.frame, label, step, most_steps, settings.fmax_eV_A, beside)
    if not done:
        return VerifiedMinimum(minimum, None, minimum.frame, None, 0), ()
    frame, final_label = lowest_observation((*done, *beside))
    return VerifiedMinimum(minimum, done[0][1], frame, final_label, len(done) - 1), done


def relax_with_engine(
    start: Frame,
    label: Labeller,
    step: Stepper,
    most_steps: int,
    fmax_eV_A: float,
    beside: Sequence[Observation] = (),
) -> tuple[Observation, ...]:
    """Label a geometry, then relax it with the engine's forces: the labelled frames in their order.

    Every step costs one label and starts from the lowest geometry so far. The relaxation ends below
    ``fmax_eV_A``, after ``most_steps`` steps, where a step leads to a labelled geometry or there is none, or at the
    first failed label.

    Args:
        start: its first geometry.
        label: the engine.
        step: makes the next geometry.
        most_steps: labels beside the first.
        fmax_eV_A: convergence, largest force on an atom.
        beside: labelled geometries of other relaxations nearby: steps use them, and start from the lowest of all.
    """
    done: list[Observation] = []
    reach_A, expected_eV = REACH_A, math.nan
    frame = start
    while True:
        found = label(frame)
        if found is None:
            logger.warning("%s, %s: label %d failed", start.key, start.note, len(done) + 1)
            break
        if done:
            fall_eV = lowest_observation((*beside, *done))[1].energy_eV - found.energy_eV
            reach_A = _next_reach_A(reach_A, fall_eV, expected_eV)
        done.append((frame, found))
        known = (*beside, *done)
        _, best_label = lowest_observation(known)
        logger.info(
            "%s, %s: step %d of at most %d, %.3f eV below the start, largest force %.2f eV/A",
            start.key,
            start.note,
            len(done) - 1,
            most_steps,
            done[0][1].energy_eV - found.energy_eV,
            found.fmax_eV_A,
        )
        if best_label.fmax_eV_A < fmax_eV_A or len(done) > most_steps:
            break
        following = step(known, reach_A)
        if following is None:
            logger.warning("%s, %s: ends here, the model has no value at its geometries", start.key, start.note)
            break
        frame, expected_eV = following.frame, following.fall_eV
        if frame.frame_id in {earlier.frame_id for earlier, _ in known}:
            break
    return tuple(done)


def _next_reach_A(reach_A: float, fall_eV: float, expected_eV: float) -> float:
    """The reach after a step whose energy fell by one value where the surface said another (NaN: unknown)."""
    if fall_eV <= 0.0:
        return reach_A * SHRINK
    if fall_eV < LITTLE * expected_eV:
        return reach_A * HALVE
    if fall_eV < MOST * expected_eV:
        return reach_A
    return min(REACH_A, reach_A * GROW)
