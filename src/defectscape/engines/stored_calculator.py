"""An ASE calculator that asks the store first: relaxations with an engine replay from it."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators import calculator as ase_calculator
from ase.calculators.calculator import Calculator, all_changes

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.engines.base import Engine
from defectscape.engines.labelling import label_frame
from defectscape.store.labels import LabelStore
from defectscape.store.record import LabelRecord

PROPERTIES = ["energy", "free_energy", "forces", "stress"]


class StoredCalculator(Calculator):
    """Energy (eV), forces (eV/A) and stress (eV/A^3, ASE's sign and order) from labels.

    Positions are used as they are, but the store tells geometries apart by 1e-5 A only: steps
    shorter than that may meet the same label.

    Args:
        engine: computes what the store lacks.
        store: the label store.
        key: defect and charge of all structures.
        family: geometry family of all structures.
        max_force_eV_A: the fidelity's limit for training, eV/A; no limit here.
        multiplicity: of the spin of all structures, 2S + 1; None for the lowest.
    """

    implemented_properties = PROPERTIES

    records: list[LabelRecord]
    """The record of every structure that was asked for, in order, failures included."""

    def __init__(
        self,
        engine: Engine,
        store: LabelStore,
        key: DefectKey,
        family: str,
        max_force_eV_A: float,
        multiplicity: int | None = None,
    ) -> None:
        super().__init__()
        self.engine = engine
        self.store = store
        self.key = key
        self.family = family
        self.max_force_eV_A = max_force_eV_A
        self.multiplicity = multiplicity
        self.records = []

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        """Label the structure.

        Raises:
            ase.calculators.calculator.CalculationFailed: with the reason, if there is no label.
            ase.calculators.calculator.CalculatorSetupError: if no structure is given.
            LabelError: if the structure is not periodic in all three directions.
        """
        super().calculate(atoms, properties, system_changes)
        if atoms is None:
            raise ase_calculator.CalculatorSetupError(f"no structure of {self.key} was given")
        record = label_frame(self._frame(atoms), self.engine, self.store, self.max_force_eV_A)
        self.records.append(record)
        if record.label is None:
            raise ase_calculator.CalculationFailed(
                f"{self.engine.name} label of {self.key} frame {record.frame.frame_id} failed: {record.failure}"
            )
        label = record.label
        self.results = {
            "energy": label.energy_eV,
            "free_energy": label.energy_eV,
            "forces": np.array(label.forces_eV_A),
        }
        if label.stress_eV_A3 is not None:
            self.results["stress"] = label.stress_eV_A3.flat[[0, 4, 8, 5, 2, 1]]

    def _frame(self, atoms: Atoms) -> Frame:
        if not np.all(atoms.pbc):
            raise LabelError(
                f"structure of {self.key}",
                f"pbc {atoms.pbc.tolist()}",
                "Frames are periodic in all three directions",
            )
        lowest = lowest_multiplicity(atoms.numbers, self.key.charge)
        return Frame(
            atoms.numbers,
            atoms.positions,
            atoms.cell.array,
            self.key,
            lowest if self.multiplicity is None else self.multiplicity,
            Origin.RELAXATION,
            self.family,
        )
