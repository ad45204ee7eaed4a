"""Relaxation of starts on the model's surface, every outcome recorded.

FIRE takes the large forces of strongly distorted starts (dimers), where a quadratic model of the
energy is worth nothing; BFGS finishes. Source of FIRE: Bitzek et al., Phys. Rev. Lett. 97, 170201
(2006).
"""

import logging
import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from ase.optimize import BFGS, FIRE

from defectscape.domain.errors import SearchError
from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.minimum import Relaxation
from defectscape.files.atoms import to_atoms
from defectscape.search.guard import Guard, StoppedError
from defectscape.search.surface import Surface
from defectscape.settings.search import Search

logger = logging.getLogger(__name__)

CONVERGED = "converged"
STEP_LIMIT = "step limit"
UNKNOWN_REGION = "ended where the committee disagrees on forces"
HANDOVER_EV_A = 1.0
MAX_STEP_A = 0.12


def nudged(frame: Frame, seed: int, std_A: float = 0.01) -> Frame:
    """A start next to ``frame``: a Gaussian displacement of every coordinate, centre kept.

    An unperturbed defect may stand on a saddle point by symmetry, where all forces that would
    break the symmetry vanish; the nudge lets it fall.
    """
    rng = np.random.default_rng(seed)
    displacements = rng.normal(0.0, std_A, size=(len(frame), 3))
    displacements -= displacements.mean(axis=0)
    note = f"{frame.note}, nudged" if frame.note else "nudged"
    return frame.moved(frame.positions_A + displacements, origin=Origin.START, note=note)


def relax(start: Frame, surface: Surface, settings: Search, path_frames: int = 8) -> Relaxation:
    """Relax one start with its cell fixed.

    Args:
        start: where to begin; its charge state decides the surface.
        path_frames: most frames kept of the path, evenly along its arc length.

    Returns:
        The outcome, also if the relaxation had to stop: ``reason`` is ``converged``, ``step
        limit``, or what was wrong (a committee that disagrees on the forces at the end, atoms too
        close or gone too far, values not finite, an absurd fall of the energy, a failed
        calculation). ``final`` is then the last healthy geometry, and the energies are NaN if there
        was none.

    Raises:
        DefectscapeError: whatever the surface raises of it (a charge it does not know).
    """
    guard = Guard(surface.calculator(start.charge), start, settings)
    try:
        reason = _run(start, guard, settings)
    except StoppedError as stopped:
        reason = str(stopped)
    last = guard.positions_A[-1] if guard.positions_A else start.positions_A
    final = start.moved(last, origin=Origin.RELAXATION, note=start.note)
    energy, std = float(np.nan), float(np.nan)
    members: tuple[float, ...] = ()
    if guard.positions_A:
        point = surface.evaluate(final)
        energy, members = point.energy_eV, point.member_energies_eV
        std = float(np.max(point.force_std_eV_A))
    if reason == CONVERGED and std > settings.max_force_std_eV_A:
        reason = UNKNOWN_REGION
    converged = reason == CONVERGED
    if converged:
        final = start.moved(last, origin=Origin.MINIMUM, note=start.note)
    return Relaxation(
        start=start,
        final=final,
        path=_thinned(start, final, guard.positions_A, path_frames),
        energy_eV=energy,
        member_energies_eV=members,
        fmax_eV_A=guard.fmax_eV_A[-1] if guard.fmax_eV_A else float(np.nan),
        force_std_eV_A=std,
        steps=max(len(guard.positions_A) - 1, 0),
        converged=converged,
        reason=reason,
    )


def relax_all(
    starts: Sequence[Frame], surface: Surface, settings: Search, path_frames: int = 8
) -> tuple[Relaxation, ...]:
    """Relax all starts in their order; progress and the time left go to the log."""
    begin = time.monotonic()
    done: list[Relaxation] = []
    for number, start in enumerate(starts, start=1):
        done.append(relax(start, surface, settings, path_frames))
        left_s = (time.monotonic() - begin) / number * (len(starts) - number)
        last = done[-1]
        logger.info(
            "relaxed %d of %d: %s, %s: %s after %d steps, %.4f eV, fmax %.3f eV/A; %.0f s left",
            number, len(starts), start.key, start.note or start.origin, last.reason, last.steps,
            last.energy_eV, last.fmax_eV_A, left_s,
        )  # fmt: skip
    return tuple(done)


def _run(start: Frame, guard: Guard, settings: Search) -> str:
    """FIRE down to moderate forces, then BFGS; the step limit holds for both together."""
    atoms = to_atoms(start)
    atoms.calc = guard
    rough = FIRE(atoms, logfile=None, maxstep=MAX_STEP_A)
    rough.run(fmax=max(HANDOVER_EV_A, settings.fmax_eV_A), steps=settings.max_steps)
    fine = BFGS(atoms, logfile=None, maxstep=MAX_STEP_A)
    left = settings.max_steps - rough.get_number_of_steps()
    try:
        converged = fine.run(fmax=settings.fmax_eV_A, steps=left)
    except np.linalg.LinAlgError as error:
        raise StoppedError(f"BFGS failed: {error}") from error
    return CONVERGED if converged else STEP_LIMIT


def _thinned(start: Frame, final: Frame, path: list[Floats], count: int) -> tuple[Frame, ...]:
    """At most ``count`` frames strictly between start and final, evenly along the arc length."""
    if count < 0:
        raise SearchError("path_frames", count, "Ask for none (0) or more")
    if len(path) < 3 or count == 0:
        return ()
    lengths = [np.linalg.norm(b - a) for a, b in pairwise(path)]
    arc = np.concatenate([[0.0], np.cumsum(lengths)])
    targets = arc[-1] * np.arange(1, count + 1) / (count + 1)
    chosen = np.abs(arc[None, :] - targets[:, None]).argmin(axis=1)
    seen = {start.geometry_hash, final.geometry_hash}
    frames = []
    for index in chosen:
        frame = start.moved(path[index], origin=Origin.RELAXATION, note=start.note)
        if frame.geometry_hash not in seen:
            seen.add(frame.geometry_hash)
            frames.append(frame)
    return tuple(frames)
