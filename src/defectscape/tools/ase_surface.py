"""A surface made of any ASE calculator, told the charge wherever such calculators look for it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase.calculators.calculator import CalculationFailed, CalculatorError

from defectscape.domain.frame import Frame
from defectscape.domain.prediction import Prediction
from defectscape.files.atoms import to_atoms


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
