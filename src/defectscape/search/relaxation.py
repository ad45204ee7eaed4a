"""Relaxation of many starts together; every outcome is recorded.

Each relaxation has its own optimiser. The predictions of one step come from one batch, in which charges
and sizes may be mixed, and a relaxation that has ended makes room for the next start. FIRE handles
the large forces of strongly distorted starts (dimers), where BFGS's quadratic model of the energy is
useless; BFGS finishes. Source of FIRE: Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006).
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from ase.calculators.calculator import CalculationFailed
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize import BFGS, FIRE

from defectscape.domain.errors import SearchError
from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.minimum import CONVERGED, Relaxation
from defectscape.domain.prediction import Prediction
from defectscape.files.atoms import to_atoms
from defectscape.search.guard import StoppedError, Watch
from defectscape.search.surface import Surface, answers
from defectscape.settings.search import SearchSettings

logger = logging.getLogger(__name__)

STEP_LIMIT = "step limit"
UNKNOWN_REGION = "converged where the committee disagrees on forces"
HANDOVER_EV_A = 1.0
"""BFGS takes over from FIRE below this largest force."""
MAX_STEP_A = 0.12


def nudged(frame: Frame, seed: int, std_A: float = 0.01) -> Frame:
    """A start next to ``frame``: a Gaussian displacement of every coordinate, centre kept.

    An unperturbed defect may be a saddle point by symmetry: all forces that would break the symmetry
    vanish. The displacement breaks it.
    """
    rng = np.random.default_rng(seed)
    displacements = rng.normal(0.0, std_A, size=(len(frame), 3))
    displacements -= displacements.mean(axis=0)
    note = f"{frame.note}, nudged" if frame.note else "nudged"
    return frame.moved(frame.positions_A + displacements, origin=Origin.START, note=note)


def relax(start: Frame, surface: Surface, settings: SearchSettings, path_frames: int = 8) -> Relaxation:
    """Relax one start; see ``relax_all``."""
    return relax_all([start], surface, settings, path_frames)[0]


def relax_all(
    starts: Sequence[Frame], surface: Surface, settings: SearchSettings, path_frames: int = 8
) -> tuple[Relaxation, ...]:
    """Relax all starts with their cells fixed, ``settings.batch_size`` at a time.

    Progress and the time left go to the log.

    Args:
        starts: where to begin; the charge of each decides its surface.
        surface: the energies and forces.
        settings: limits.
        path_frames: most frames kept of each path, evenly along its arc length.

    Returns:
        One outcome per start, in their order, also of a relaxation that had to stop. ``reason`` is
        ``converged``, with an addition where the committee disagrees on the forces (a minimum or an
        artefact of the model), ``step limit``, or what was wrong: the committee disagreed more and more
        on the way, atoms were too close or had moved too far, values were not finite, the energy
        fell absurdly, a calculation failed. ``final`` is then the last accepted geometry, and the
        energies are NaN if there was none.

    Raises:
        DefectscapeError: whatever the surface raises (a charge it does not know).
    """
    progress = Progress(len(starts))
    finished: dict[int, Relaxation] = {}
    waiting = deque(enumerate(starts))
    under_way: dict[int, _UnderWay] = {}
    while waiting or under_way:
        while waiting and len(under_way) < settings.batch_size:
            number, start = waiting.popleft()
            under_way[number] = _UnderWay(start, settings)
        ready = [one for one in under_way.values() if one.ready()]
        found = answers(surface, [one.frame() for one in ready])
        for one, answer in zip(ready, found, strict=True):
            one.step(answer)
        for number, one in list(under_way.items()):
            if one.reason is not None:
                del under_way[number]
                finished[number] = _outcome(one.watch, one.start, settings, one.reason, path_frames)
                progress.add(finished[number])
    return tuple(finished[number] for number in range(len(starts)))


class _UnderWay:
    """A relaxation that has not ended.

    Attributes:
        start: where it began.
        watch: its limits, and the geometries so far.
        reason: why it ended, or None.
    """

    def __init__(self, start: Frame, settings: SearchSettings) -> None:
        self.start, self.settings = start, settings
        self.watch = Watch(start, settings)
        self.reason: str | None = None
        self.atoms = to_atoms(start)
        self.rough = FIRE(self.atoms, logfile=None, maxstep=MAX_STEP_A)
        self.fine: BFGS | None = None

    def ready(self) -> bool:
        """Whether the surface may be evaluated here; if not, the relaxation has ended."""
        try:
            self.watch.admit(self.atoms.positions)
        except StoppedError as stopped:
            self.reason = str(stopped)
        return self.reason is None

    def frame(self) -> Frame:
        """The present geometry."""
        note = self.start.note
        return self.start.moved(self.atoms.positions, origin=self.start.origin, note=note)

    def step(self, answer: Prediction | CalculationFailed) -> None:
        """Move the atoms by the prediction for the present geometry, or end here."""
        if isinstance(answer, CalculationFailed):
            self.reason = f"calculation failed: {' '.join(str(answer).split())}"
            return
        try:
            self.watch.accept(self.atoms.positions, answer)
        except StoppedError as stopped:
            self.reason = str(stopped)
            return
        fmax, steps = self.watch.fmax_eV_A[-1], len(self.watch.fmax_eV_A) - 1
        if self.fine is None and fmax < max(HANDOVER_EV_A, self.settings.fmax_eV_A):
            self.fine = BFGS(self.atoms, logfile=None, maxstep=MAX_STEP_A)
        if fmax < self.settings.fmax_eV_A:
            self.reason = CONVERGED
        elif steps >= self.settings.max_steps:
            self.reason = STEP_LIMIT
        else:
            self.atoms.calc = SinglePointCalculator(self.atoms, forces=answer.forces_eV_A)
            try:
                (self.rough if self.fine is None else self.fine).step()
            except np.linalg.LinAlgError as error:
                self.reason = f"BFGS failed: {error}"


def _outcome(watch: Watch, start: Frame, settings: SearchSettings, reason: str, path_frames: int) -> Relaxation:
    """The record of a relaxation that has ended."""
    converged = reason == CONVERGED
    positions_A, fmax_eV_A, std_eV_A, last = start.positions_A, np.nan, np.nan, watch.last
    if last is not None:
        positions_A, fmax_eV_A = watch.positions_A[-1], watch.fmax_eV_A[-1]
        std_eV_A = float(np.max(last.force_std_eV_A))
    if converged and std_eV_A > settings.max_force_std_eV_A:
        reason = UNKNOWN_REGION
    origin = Origin.MINIMUM if converged else Origin.RELAXATION
    final = start.moved(positions_A, origin=origin, note=start.note)
    return Relaxation(
        start=start,
        final=final,
        path=_thinned(start, final, watch.positions_A, path_frames),
        energy_eV=last.energy_eV if last else np.nan,
        member_energies_eV=last.member_energies_eV if last else (),
        fmax_eV_A=fmax_eV_A,
        force_std_eV_A=std_eV_A,
        steps=max(len(watch.positions_A) - 1, 0),
        converged=converged,
        reason=reason,
    )


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
            self.done,
            self.total,
            last.start.key,
            last.start.note or last.start.origin,
            last.reason,
            last.steps,
            last.energy_eV,
            last.fmax_eV_A,
            left_s,
        )
