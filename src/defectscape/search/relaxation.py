"""Relaxation of starts on the model's surface, every outcome recorded.

FIRE takes the large forces of strongly distorted starts (dimers), where a quadratic model of the
energy is worth nothing; BFGS finishes. Source of FIRE: Bitzek et al., Phys. Rev. Lett. 97, 170201
(2006).
"""

import logging
import time
from itertools import pairwise

import numpy as np
from ase.optimize import BFGS, FIRE

from defectscape.domain.errors import SearchError
from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.minimum import CONVERGED, Relaxation
from defectscape.files.atoms import to_atoms
from defectscape.search.guard import Guard, StoppedError, Watch
from defectscape.search.surface import Surface
from defectscape.settings.search import Search

logger = logging.getLogger(__name__)

STEP_LIMIT = "step limit"
UNKNOWN_REGION = "converged where the committee disagrees on forces"
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
    """Relax one start with its cell fixed, by ASE alone: the reference for ``batches.py``.

    Args:
        start: where to begin; its charge state decides the surface.
        path_frames: most frames kept of the path, evenly along its arc length.

    Returns:
        The outcome, also if the relaxation had to stop: ``reason`` is ``converged``, with a word more
        where the committee disagrees on the forces (a minimum or nonsense), ``step limit``, or what was
        wrong (a committee that disagrees more and more on the way, atoms too close or gone too far,
        values not finite, an absurd fall of the energy, a failed calculation). ``final`` is then the
        last healthy geometry, and the energies are NaN if there was none.

    Raises:
        DefectscapeError: whatever the surface raises of it (a charge it does not know).
    """
    watch = Watch(start, settings)
    try:
        reason = _run(start, Guard(surface.calculator(start.charge), watch), settings)
    except StoppedError as stopped:
        reason = str(stopped)
    return outcome(start, watch, surface, settings, reason, path_frames)


def outcome(
    start: Frame, watch: Watch, surface: Surface, settings: Search, reason: str, path_frames: int
) -> Relaxation:
    """What a relaxation came to, from its watch and the reason of its end."""
    last = watch.positions_A[-1] if watch.positions_A else start.positions_A
    final = start.moved(last, origin=Origin.RELAXATION, note=start.note)
    energy, std = float(np.nan), float(np.nan)
    members: tuple[float, ...] = ()
    if watch.positions_A:
        point = surface.evaluate(final)
        energy, members = point.energy_eV, point.member_energies_eV
        std = float(np.max(point.force_std_eV_A))
    converged = reason == CONVERGED
    if converged:
        final = start.moved(last, origin=Origin.MINIMUM, note=start.note)
        if std > settings.max_force_std_eV_A:
            reason = UNKNOWN_REGION
    return Relaxation(
        start=start,
        final=final,
        path=_thinned(start, final, watch.positions_A, path_frames),
        energy_eV=energy,
        member_energies_eV=members,
        fmax_eV_A=watch.fmax_eV_A[-1] if watch.fmax_eV_A else float(np.nan),
        force_std_eV_A=std,
        steps=max(len(watch.positions_A) - 1, 0),
        converged=converged,
        reason=reason,
    )


class Progress:
    """Lines of progress with the time left."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.begin = total, 0, time.monotonic()

    def add(self, last: Relaxation) -> None:
        """Report one more relaxation."""
        self.done += 1
        left_s = (time.monotonic() - self.begin) / self.done * (self.total - self.done)
        logger.info(
            "relaxed %d of %d: %s, %s: %s after %d steps, %.4f eV, fmax %.3f eV/A; %.0f s left",
            self.done, self.total, last.start.key, last.start.note or last.start.origin,
            last.reason, last.steps, last.energy_eV, last.fmax_eV_A, left_s,
        )  # fmt: skip


def _run(start: Frame, guard: Guard, settings: Search) -> str:
    """FIRE down to moderate forces, then BFGS; the step limit holds for both together."""
    atoms = to_atoms(start)
    atoms.calc = guard
    rough = FIRE(atoms, logfile=None, maxstep=MAX_STEP_A)
    rough.run(fmax=handover_eV_A(settings), steps=settings.max_steps)
    fine = BFGS(atoms, logfile=None, maxstep=MAX_STEP_A)
    left = settings.max_steps - rough.get_number_of_steps()
    try:
        converged = fine.run(fmax=settings.fmax_eV_A, steps=left)
    except np.linalg.LinAlgError as error:
        raise StoppedError(f"BFGS failed: {error}") from error
    return CONVERGED if converged else STEP_LIMIT


def handover_eV_A(settings: Search) -> float:
    """Largest force at which BFGS takes over from FIRE, eV/A."""
    return max(HANDOVER_EV_A, settings.fmax_eV_A)


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
