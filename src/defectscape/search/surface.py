"""What the search asks of a potential-energy surface, whoever provides it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ase.calculators.calculator import Calculator

from defectscape.domain.frame import Floats, Frame


@dataclass(frozen=True, eq=False)
class SurfacePoint:
    """The surface at one frame, with the disagreement of those who made it.

    Attributes:
        energy_eV: mean energy of the supercell, eV.
        member_energies_eV: one energy per committee member, eV; one for a single model.
        forces_eV_A: mean forces, shape (n, 3), eV/A.
        force_std_eV_A: committee standard deviation of the force on each atom, shape (n,), eV/A.
    """

    energy_eV: float
    member_energies_eV: tuple[float, ...]
    forces_eV_A: Floats
    force_std_eV_A: Floats


class Surface(Protocol):
    """Energies and forces at one fidelity, for any charge state."""

    def evaluate(self, frame: Frame) -> SurfacePoint:
        """The surface at a frame, in the frame's own charge state."""
        ...

    def evaluate_many(self, frames: Sequence[Frame]) -> list[SurfacePoint]:
        """The surface at each of the frames, in their order."""
        ...

    def calculator(self, charge: int) -> Calculator:
        """An ASE calculator of the mean energy and forces in one charge state (units of e)."""
        ...
