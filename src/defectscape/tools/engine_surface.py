"""The engine itself as a surface to relax on, through the label store: what a user would do without us."""

from collections.abc import Sequence

import numpy as np
from ase.calculators.calculator import Calculator

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.engines.labelling import label_frame
from defectscape.engines.stored_calculator import StoredCalculator
from defectscape.search.surface import SurfacePoint
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext


class EngineSurface:
    """Energies and forces of one of the study's engines for one defect.

    Args:
        context: the study.
        level: ``low`` or ``high``.
        defect: our name of the defect.
    """

    def __init__(self, context: StudyContext, level: str, defect: str) -> None:
        self.engine, self.store = context.engine(level), context.store
        self.limit_eV_A = context.fidelity(level).max_force_eV_A
        self.defect = defect
        self.made: list[StoredCalculator] = []

    def evaluate(self, frame: Frame) -> SurfacePoint:
        """The engine's label of a frame; NaN where it has none."""
        label = label_frame(frame, self.engine, self.store, self.limit_eV_A).label
        unknown = np.full(len(frame), np.nan)
        if label is None:
            return SurfacePoint(np.nan, (np.nan,), np.full((len(frame), 3), np.nan), unknown)
        return SurfacePoint(label.energy_eV, (label.energy_eV,), label.forces_eV_A, unknown)

    def evaluate_many(self, frames: Sequence[Frame]) -> list[SurfacePoint]:
        """The labels of frames, in their order."""
        return [self.evaluate(frame) for frame in frames]

    def calculator(self, charge: int) -> Calculator:
        """A calculator that asks the store first, then the engine."""
        key = DefectKey(self.defect, charge)
        family = f"{self.defect}/direct"
        made = StoredCalculator(self.engine, self.store, key, family, self.limit_eV_A)
        self.made.append(made)
        return made

    def records(self) -> list[LabelRecord]:
        """The record of every distinct structure that was asked for through a calculator."""
        found = {record.key: record for made in self.made for record in made.records}
        return list(found.values())
