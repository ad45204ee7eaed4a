"""Surfaces to relax on other than the model's: the study's own engine, and any ASE calculator.

The engine answers through the label store: what a user would do without us. A calculator is told the charge wherever
such calculators look for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from ase.calculators.calculator import CalculationFailed, CalculatorError

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.label import Label
from defectscape.domain.prediction import Prediction
from defectscape.engines.labelling import label_frame
from defectscape.files.atoms import to_atoms
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext


class EngineSurface:
    """Energies and forces of one of the study's engines for one defect.

    Args:
        context: the study.
        level: ``low`` or ``high``.
        defect: our name of the defect.
    """

    def __init__(self, context: StudyContext, fidelity: str, defect: str) -> None:
        self.engine, self.store = context.engine(fidelity), context.store
        self.limit_eV_A = context.fidelity_settings(fidelity).max_force_eV_A
        self.family = f"{defect}/direct"
        self.evaluated: dict[str, LabelRecord] = {}

    def label(self, frame: Frame) -> Label | None:
        """The engine's label of a frame, or None if it failed."""
        return self._record(frame).label

    def evaluate(self, frame: Frame) -> Prediction:
        """The engine's energy and forces at a geometry of a relaxation.

        Raises:
            CalculationFailed: with the reason.
        """
        moved = replace(frame, origin=Origin.RELAXATION, family=self.family, parent=None, note="")
        record = self._record(moved)
        self.evaluated[record.key] = record
        if record.label is None:
            name = f"{self.engine.name} label of {frame.key} frame {frame.frame_id}"
            raise CalculationFailed(f"{name} failed: {record.failure}")
        energy_eV, forces_eV_A = record.label.energy_eV, record.label.forces_eV_A
        return Prediction(energy_eV, (energy_eV,), forces_eV_A, np.full(len(frame), np.nan))

    def evaluate_many(self, frames: Sequence[Frame]) -> list[Prediction]:
        """The engine's energies and forces at geometries, in their order."""
        return [self.evaluate(frame) for frame in frames]

    def records(self) -> list[LabelRecord]:
        """The record of every distinct structure that relaxations evaluated."""
        return list(self.evaluated.values())

    def _record(self, frame: Frame) -> LabelRecord:
        return label_frame(frame, self.engine, self.store, self.limit_eV_A)


class AseSurface:
    """Energies and forces of an ASE calculator in any charge state.

    The charge stands in ``atoms.info`` (``charge``, ``total_charge``) and, spread evenly, in the atoms'
    initial charges. Whether the calculator makes use of it is what ``charge_response`` measures.

    Args:
        make: makes the calculator; called once.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self.inner = make()

    def evaluate(self, frame: Frame) -> Prediction:
        """The surface at a frame, in its own charge state.

        Raises:
            CalculationFailed: with what the calculator raised.
        """
        atoms = to_atoms(frame)
        atoms.info |= {"charge": frame.charge, "total_charge": frame.charge}
        atoms.set_initial_charges(np.full(len(atoms), frame.charge / len(atoms)))
        atoms.calc = self.inner
        try:
            energy = float(atoms.get_potential_energy())
            forces = np.array(atoms.get_forces())
        except (CalculatorError, RuntimeError, ValueError, ArithmeticError) as error:
            raise CalculationFailed(f"{type(error).__name__}: {error}") from error
        return Prediction(energy, (energy,), forces, np.full(len(frame), np.nan))

    def evaluate_many(self, frames: Sequence[Frame]) -> list[Prediction]:
        """The surface at each of the frames, in their order."""
        return [self.evaluate(frame) for frame in frames]


def charge_response(surface: AseSurface, frame: Frame, charges: Sequence[int]) -> tuple[float, float]:
    """How much one geometry changes with the charge: largest differences, eV and eV/A; 0 without any.

    The calculator is made to forget between the charges, or it might answer from its memory.
    """
    points = []
    for charge in charges:
        reset = getattr(surface.inner, "reset", None)
        if callable(reset):
            reset()
        points.append(surface.evaluate(frame.recharged(charge, origin=frame.origin)))
    energies = [point.energy_eV for point in points]
    forces = np.array([point.forces_eV_A for point in points])
    return float(np.ptp(energies)), float(np.max(np.ptp(forces, axis=0)))
