"""What the high-fidelity engine says of a minimum, and where it takes it."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import BFGS

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.label import Label
from defectscape.domain.minimum import Minimum, VerifiedMinimum
from defectscape.files.atoms import to_atoms
from defectscape.search.guard import PROPERTIES
from defectscape.settings.search import Verification

logger = logging.getLogger(__name__)

MAX_STEP_A = 0.1
NOTE = "verification"

Labeller = Callable[[Frame], Label | None]
"""Gives a frame's label, or None where the calculation failed."""


def verify(
    minimum: Minimum, label: Labeller, settings: Verification
) -> tuple[VerifiedMinimum, tuple[tuple[Frame, Label], ...]]:
    """Label a minimum, then relax it a few steps with the engine itself.

    Every step costs one label. The relaxation (BFGS) ends at ``settings.fmax_eV_A``, after
    ``settings.relax_steps`` steps, or with the first failed label; the lowest of the labelled
    geometries is kept.

    Returns:
        The verified minimum, and all labelled frames in their order (to train on), the model's
        geometry first.
    """
    calculator = _LabelCalculator(minimum.frame, label)
    atoms = to_atoms(minimum.frame)
    atoms.calc = calculator
    try:
        atoms.get_forces()
        if settings.relax_steps > 0:
            optimiser = BFGS(atoms, logfile=None, maxstep=MAX_STEP_A)
            optimiser.run(fmax=settings.fmax_eV_A, steps=settings.relax_steps)
    except _LabelFailedError:
        logger.warning(
            "%s, minimum %d: label %d failed",
            minimum.frame.key,
            minimum.rank,
            len(calculator.done) + 1,
        )
    done = tuple(calculator.done)
    if not done:
        return VerifiedMinimum(minimum, None, minimum.frame, None, 0), done
    frame, final_label = min(done, key=lambda item: item[1].energy_eV)
    return VerifiedMinimum(minimum, done[0][1], frame, final_label, len(done) - 1), done


class _LabelFailedError(Exception):
    """The engine has no label for this geometry."""


class _LabelCalculator(Calculator):
    """An ASE calculator whose every call is one label, remembered in ``done``."""

    implemented_properties = PROPERTIES

    def __init__(self, first: Frame, label: Labeller) -> None:
        super().__init__()
        self.first = first
        self.labeller = label
        self.done: list[tuple[Frame, Label]] = []

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        frame = self.first
        if self.done:
            frame = self.first.moved(atoms.positions, origin=Origin.RELAXATION, note=NOTE)
        label = self.labeller(frame)
        if label is None:
            raise _LabelFailedError
        self.done.append((frame, label))
        self.results = {
            "energy": label.energy_eV,
            "free_energy": label.energy_eV,
            "forces": np.array(label.forces_eV_A),
        }
