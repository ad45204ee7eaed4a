"""A surface tied to the engine at one geometry: the model's curvature under the engine's forces.

At a verified minimum the engine's forces are known and small; what relaxing it further would gain
depends on them and on the curvature. A model's own minimum lies elsewhere by its force error, which
says nothing of the engine's. So a constant force on every atom is added that makes the model's
forces the engine's at that geometry:

    E'(x) = E(x) - (F_engine - F_model)(x0) . (x - x0)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from defectscape.domain.frame import Floats, Frame
from defectscape.search.surface import Surface, SurfacePoint


class TiedSurface:
    """A surface with the engine's forces at one frame.

    Args:
        surface: the model's surface.
        frame: where it is tied; only geometries near it make sense.
        forces_eV_A: the engine's forces there, shape (n, 3), eV/A.
    """

    def __init__(self, surface: Surface, frame: Frame, forces_eV_A: Floats) -> None:
        self.surface = surface
        self.origin_A = frame.positions_A
        self.added_eV_A = forces_eV_A - surface.evaluate(frame).forces_eV_A

    def work_eV(self, positions_A: Floats) -> float:
        """Work of the added forces from the tied geometry to ``positions_A`` (n, 3), eV."""
        return float(np.sum(self.added_eV_A * (positions_A - self.origin_A)))

    def evaluate(self, frame: Frame) -> SurfacePoint:
        """The tied surface at a frame."""
        return self.evaluate_many([frame])[0]

    def evaluate_many(self, frames: Sequence[Frame]) -> list[SurfacePoint]:
        """The tied surface at each of the frames, in their order."""
        points = []
        for frame, point in zip(frames, self.surface.evaluate_many(frames), strict=True):
            work = self.work_eV(frame.positions_A)
            points.append(
                SurfacePoint(
                    point.energy_eV - work,
                    tuple(energy - work for energy in point.member_energies_eV),
                    point.forces_eV_A + self.added_eV_A,
                    point.force_std_eV_A,
                )
            )
        return points

    def calculator(self, charge: int) -> Calculator:
        """An ASE calculator of the tied surface in one charge state (units of e)."""
        return _TiedCalculator(self, self.surface.calculator(charge))


class _TiedCalculator(Calculator):
    implemented_properties: list[str] = ["energy", "free_energy", "forces"]  # noqa: RUF012

    def __init__(self, tied: TiedSurface, inner: Calculator) -> None:
        super().__init__()
        self.tied, self.inner = tied, inner

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        """Fill ``results``."""
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        forces = np.asarray(self.inner.get_property("forces", atoms)) + self.tied.added_eV_A
        energy = float(self.inner.get_property("energy", atoms)) - self.tied.work_eV(
            atoms.positions
        )
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
