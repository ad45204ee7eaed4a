"""What the high-fidelity engine says of a minimum, and where it takes it.

A step of the engine's relaxation does not guess the curvature, as BFGS has to: it goes down
the model's surface tied to what the engine said so far, so a few labels lead where tens would.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.label import Label
from defectscape.domain.minimum import Minimum, VerifiedMinimum
from defectscape.search.certainty import next_to_verify
from defectscape.search.relaxation import relax
from defectscape.search.surface import Surface
from defectscape.search.tied import Tie, TiedSurface, lowest_tie
from defectscape.settings.search import Search, Verification

logger = logging.getLogger(__name__)

REACH_A = 0.3
"""No atom moves further in one step: the model's curvature holds near the geometry that was labelled."""

PATH_FRAMES = 200
"""Most frames kept of the way to a tied surface's minimum; a step ends where the line through them leaves the reach."""

SHRINK = 0.25
"""After a step that raised the engine's energy, the next one from the lowest geometry is so much shorter."""

GROW = 2.0
"""After one that lowered it, so much longer again."""

NOTE = "verification"

Labeller = Callable[[Frame], Label | None]
"""Gives a frame's label, or None where the calculation failed."""

Stepper = Callable[[Sequence[Tie], float], Frame]
"""Gives the next geometry from the labelled ones; no atom moves further from the lowest than so many A."""


def tied_steps(surface: Surface, settings: Search, note: str = NOTE) -> Stepper:
    """Steps down a model's surface tied to the engine's labels, to its minimum if that is within reach.

    Args:
        surface: the model, for its curvature.
        settings: how that surface is relaxed.
        note: what the frames are said to come from.
    """

    def step(ties: Sequence[Tie], reach_A: float) -> Frame:
        frame, _ = lowest_tie(ties)
        way = relax(frame, TiedSurface(surface, ties), settings, PATH_FRAMES)
        positions_A = [reached.positions_A for reached in (*way.path, way.final)]
        moved = frame.positions_A + _within(
            reach_A, [there - frame.positions_A for there in positions_A]
        )
        return frame.moved(moved, origin=Origin.RELAXATION, note=note)

    return step


def _within(reach_A: float, displacements_A: Sequence[Floats]) -> Floats:
    """The displacement at which a way first leaves the reach, or its last.

    Along the way, not along the chord to its end: a way begins along the engine's forces, so that a step short
    enough lowers the energy; the chord across a bend may rise however short it is made.
    """
    before = np.zeros_like(displacements_A[0])
    for there in displacements_A:
        if np.linalg.norm(there, axis=1).max() > reach_A:
            return before + _share_within(reach_A, before, there) * (there - before)
        before = there
    return before


def _share_within(reach_A: float, inside_A: Floats, outside_A: Floats) -> float:
    """The share of the straight line between two displacements that no atom leaves the reach on."""
    step_A = outside_A - inside_A
    # For each atom |inside + share * step| = reach, the positive root; the first atom to get there counts.
    square = np.sum(step_A**2, axis=1)
    along = np.sum(inside_A * step_A, axis=1)
    left = reach_A**2 - np.sum(inside_A**2, axis=1)
    moving = square > 0.0
    roots = (-along + np.sqrt(np.maximum(along**2 + square * left, 0.0)))[moving] / square[moving]
    return float(np.clip(roots.min(), 0.0, 1.0))


def verify(
    minimum: Minimum, label: Labeller, step: Stepper, settings: Verification, turns: int = 1
) -> tuple[VerifiedMinimum, tuple[Tie, ...]]:
    """Label a minimum, then relax it a few steps with the engine's forces; the lowest geometry is kept.

    Args:
        minimum: of the model.
        label: the engine.
        step: the way of the relaxation.
        settings: steps of a turn, and when it is at its end.
        turns: how many; those before are repeated, with labels that the store has.

    Returns:
        The verified minimum, and all labelled frames in their order (to train on), the model's
        geometry first.
    """
    done = descend(minimum.frame, label, step, turns * settings.relax_steps, settings.fmax_eV_A)
    if not done:
        return VerifiedMinimum(minimum, None, minimum.frame, None, 0), ()
    frame, final_label = lowest_tie(done)
    return VerifiedMinimum(minimum, done[0][1], frame, final_label, len(done) - 1), done


def verify_until_certain(
    first: Sequence[Minimum],
    minima: Sequence[Minimum],
    label: Labeller,
    step: Stepper,
    settings: Verification,
) -> tuple[tuple[VerifiedMinimum, ...], tuple[Tie, ...]]:
    """Verify some minima of one key, then others or the same ones further, until none can be lower.

    Args:
        first: those to verify in any case, in this order.
        minima: all that the search found.
        label, step, settings: as for ``verify``.

    Returns:
        What the engine said of each, and all labelled frames, relaxation by relaxation.
    """
    waiting = list(first)
    turns: Counter[int] = Counter()
    verified: dict[int, VerifiedMinimum] = {}
    paths: dict[int, tuple[Tie, ...]] = {}
    while waiting:
        minimum = waiting.pop(0)
        rank = minimum.rank
        turns[rank] += 1
        verified[rank], paths[rank] = verify(minimum, label, step, settings, turns[rank])
        if not waiting:
            waiting = next_to_verify(minima, tuple(verified.values()), turns, settings)
    return tuple(verified.values()), tuple(tie for path in paths.values() for tie in path)


def descend(
    start: Frame, label: Labeller, step: Stepper, most_steps: int, fmax_eV_A: float
) -> tuple[Tie, ...]:
    """Label a geometry, then relax it with the engine's forces: the labelled frames in their order.

    Every step costs one label and starts from the lowest geometry so far. The relaxation ends below
    ``fmax_eV_A``, after ``most_steps`` steps, where a step leads to a known geometry, or with the first failed label.
    """
    done: list[Tie] = []
    reach_A = REACH_A
    frame = start
    while True:
        found = label(frame)
        if found is None:
            logger.warning("%s, %s: label %d failed", start.key, start.note, len(done) + 1)
            break
        if done:
            rose = found.energy_eV >= lowest_tie(done)[1].energy_eV
            reach_A = reach_A * SHRINK if rose else min(REACH_A, reach_A * GROW)
        done.append((frame, found))
        _, best_label = lowest_tie(done)
        logger.info(
            "%s, %s: step %d of at most %d, %.3f eV below the start, largest force %.2f eV/A",
            start.key, start.note, len(done) - 1, most_steps,
            done[0][1].energy_eV - found.energy_eV, found.fmax_eV_A,
        )  # fmt: skip
        if best_label.fmax_eV_A < fmax_eV_A or len(done) > most_steps:
            break
        frame = step(done, reach_A)
        if frame.frame_id in {earlier.frame_id for earlier, _ in done}:
            break
    return tuple(done)
