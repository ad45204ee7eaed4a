"""A surface made of any ASE calculator, told the charge wherever such calculators look for it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    CalculationFailed,
    Calculator,
    CalculatorError,
    all_changes,
)

from defectscape.domain.frame import Frame
from defectscape.files.atoms import to_atoms
from defectscape.search.guard import PROPERTIES
from defectscape.search.surface import SurfacePoint


class AseSurface:
    """Energies and forces of an ASE calculator in any charge state.

    The charge stands in ``atoms.info`` (``charge``, ``total_charge``) and, spread evenly, in the atoms'
    initial charges. Whether the calculator makes use of it is what ``charge_response`` measures.

    Args:
        make: makes the calculator; called once.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self.inner = make()

    def evaluate(self, frame: Frame) -> SurfacePoint:
        """The surface at a frame, in its own charge state."""
        atoms = to_atoms(frame)
        atoms.calc = self.calculator(frame.charge)
        energy = float(atoms.get_potential_energy())
        forces = np.array(atoms.get_forces())
        return SurfacePoint(energy, (energy,), forces, np.full(len(frame), np.nan))

    def evaluate_many(self, frames: Sequence[Frame]) -> list[SurfacePoint]:
        """The surface at each of the frames, in their order."""
        return [self.evaluate(frame) for frame in frames]

    def calculator(self, charge: int) -> Calculator:
        """An ASE calculator for one charge state, e."""
        return _Charged(self.inner, charge)


class _Charged(Calculator):
    implemented_properties = PROPERTIES

    def __init__(self, inner: Any, charge: int) -> None:
        super().__init__()
        self.inner, self.charge = inner, charge

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        told = atoms.copy()
        told.info |= {"charge": self.charge, "total_charge": self.charge}
        told.set_initial_charges(np.full(len(told), self.charge / len(told)))
        told.calc = self.inner
        try:
            energy = float(told.get_potential_energy())
            forces = np.array(told.get_forces())
        except (CalculatorError, RuntimeError, ValueError, ArithmeticError) as error:
            raise CalculationFailed(f"{type(error).__name__}: {error}") from error
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}


def charge_response(
    surface: AseSurface, frame: Frame, charges: Sequence[int]
) -> tuple[float, float]:
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
