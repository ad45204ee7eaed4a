"""Relaxations of many starts together: one call of the surface for all that are under way.

Every start has its own optimiser, the same as in ``relaxation.py`` and step for step alike; only the
energies and forces of a step come from one batch, in which charges and sizes may be mixed. A start
that has converged, or had to be stopped, makes room for the next at once.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.optimize import BFGS, FIRE

from defectscape.domain.frame import Floats, Frame
from defectscape.domain.minimum import CONVERGED, Relaxation
from defectscape.files.atoms import to_atoms
from defectscape.search.guard import PROPERTIES, StoppedError, Watch
from defectscape.search.relaxation import (
    MAX_STEP_A,
    STEP_LIMIT,
    Progress,
    handover_eV_A,
    outcome,
    relax,
)
from defectscape.search.surface import Surface, SurfacePoint
from defectscape.settings.search import Search


def relax_all(
    starts: Sequence[Frame], surface: Surface, settings: Search, path_frames: int = 8
) -> tuple[Relaxation, ...]:
    """Relax all starts, ``settings.batch_size`` at a time; outcomes in the order of the starts.

    Progress and the time left go to the log.

    Args:
        starts: where to begin; the charge of each decides its surface.
        surface: the energies.
        settings: limits; a batch size of 1 relaxes one by one, by ASE alone.
        path_frames: most frames kept of each path.

    Raises:
        DefectscapeError: whatever the surface raises (a charge it does not know).
    """
    progress = Progress(len(starts))
    if settings.batch_size == 1:
        done: list[Relaxation] = []
        for start in starts:
            done.append(relax(start, surface, settings, path_frames))
            progress.add(done[-1])
        return tuple(done)
    finished: dict[int, Relaxation] = {}
    waiting = deque(enumerate(starts))
    under_way: dict[int, _Descent] = {}
    while waiting or under_way:
        while waiting and len(under_way) < settings.batch_size:
            number, start = waiting.popleft()
            under_way[number] = _Descent(start, settings)
        asking = {number: one for number, one in under_way.items() if one.ready()}
        points = surface.evaluate_many([one.frame() for one in asking.values()]) if asking else []
        for one, point in zip(asking.values(), points, strict=True):
            one.take(point)
        for number, one in list(under_way.items()):
            if one.reason is not None:
                del under_way[number]
                finished[number] = outcome(
                    one.start, one.watch, surface, settings, one.reason, path_frames
                )
                progress.add(finished[number])
    return tuple(finished[number] for number in range(len(starts)))


class _Known(Calculator):
    """Answers with what the batch has said of the geometry, and can compute nothing."""

    implemented_properties = PROPERTIES

    def know(self, atoms: Atoms, energy_eV: float, forces_eV_A: Floats) -> None:
        self.atoms = atoms.copy()
        self.results = {"energy": energy_eV, "free_energy": energy_eV, "forces": forces_eV_A}


class _Descent:
    """One relaxation, a step at a time.

    Attributes:
        start: where it began.
        watch: what it has seen.
        reason: why it ended, or None.
    """

    def __init__(self, start: Frame, settings: Search) -> None:
        self.start, self.settings = start, settings
        self.watch = Watch(start, settings)
        self.reason: str | None = None
        self.atoms = to_atoms(start)
        self.known = _Known()
        self.atoms.calc = self.known
        self.rough = FIRE(self.atoms, logfile=None, maxstep=MAX_STEP_A)
        self.fine: BFGS | None = None

    def ready(self) -> bool:
        """Whether the surface may be asked; if not, this relaxation has ended."""
        try:
            self.watch.admit(self.atoms.positions)
        except StoppedError as stopped:
            self.reason = str(stopped)
        return self.reason is None

    def frame(self) -> Frame:
        """The geometry to ask for."""
        note = self.start.note
        return self.start.moved(self.atoms.positions, origin=self.start.origin, note=note)

    def take(self, point: SurfacePoint) -> None:
        """Take the answer, and a step unless that ends it."""
        positions, forces = self.atoms.positions, np.array(point.forces_eV_A)
        try:
            std = float(np.max(point.force_std_eV_A))
            self.watch.accept(positions, point.energy_eV, forces, std)
        except StoppedError as stopped:
            self.reason = str(stopped)
            return
        fmax, steps = self.watch.fmax_eV_A[-1], len(self.watch.fmax_eV_A) - 1
        if self.fine is None and fmax < handover_eV_A(self.settings):
            self.fine = BFGS(self.atoms, logfile=None, maxstep=MAX_STEP_A)
        if fmax < self.settings.fmax_eV_A:
            self.reason = CONVERGED
        elif steps >= self.settings.max_steps:
            self.reason = STEP_LIMIT
        else:
            self.known.know(self.atoms, point.energy_eV, forces)
            try:
                (self.rough if self.fine is None else self.fine).step()
            except np.linalg.LinAlgError as error:
                self.reason = f"BFGS failed: {error}"
