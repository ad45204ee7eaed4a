"""The engine itself as a surface to relax on, through the label store: what a user would do without us."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ase.calculators.calculator import CalculationFailed

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.label import Label
from defectscape.domain.prediction import Prediction
from defectscape.engines.labelling import label_frame
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
