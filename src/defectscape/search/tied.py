"""A surface tied to the engine where the engine was asked: the model's curvature under the engine's forces.

At a verified minimum the engine's forces are known and small; what relaxing it further would gain
depends on them and on the curvature. A model's own minimum lies elsewhere by its force error, which
says nothing of the engine's. So a constant force on every atom is added that makes the model's
forces the engine's at that geometry:

    E'(x) = E(x) - (F_engine - F_model)(x0) . (x - x0) + r(x)

Where the engine was asked at more than one geometry, x0 is the lowest, and r is what the first two
terms leave unexplained at the others (``residual.py``); there the model's curvature is corrected, too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from defectscape.domain.frame import Floats, Frame
from defectscape.domain.label import Label
from defectscape.search.residual import Residual
from defectscape.search.surface import Surface, SurfacePoint

Tie = tuple[Frame, Label]
"""A geometry and what the engine said of it."""

MOST_TIES = 10
"""Geometries that count, the lowest ones: beyond, solving for the residual costs more than it tells."""


def lowest_tie(ties: Sequence[Tie]) -> Tie:
    """The one with the engine's lowest energy."""
    return min(ties, key=lambda tie: tie[1].energy_eV)


class TiedSurface:
    """A surface with the engine's forces at some frames.

    Args:
        surface: the model's surface.
        ties: geometries of one defect and charge with the engine's labels, at least one; only
            geometries near them make sense. Energies stay the model's at the lowest of them.
    """

    def __init__(self, surface: Surface, ties: Sequence[Tie]) -> None:
        self.surface = surface
        ordered = sorted(ties, key=lambda tie: tie[1].energy_eV)[:MOST_TIES]
        points = surface.evaluate_many([frame for frame, _ in ordered])
        errors = [
            (label.energy_eV - point.energy_eV, label.forces_eV_A - point.forces_eV_A)
            for (_, label), point in zip(ordered, points, strict=True)
        ]
        lowest_eV, self.force_eV_A = errors[0]
        self.origin_A = ordered[0][0].positions_A
        positions = np.array([frame.positions_A for frame, _ in ordered])
        # Nothing is left at the lowest tie itself, so with it alone the residual is zero everywhere.
        left_eV = [
            error - lowest_eV + self._work_eV(where)
            for where, (error, _) in zip(positions, errors, strict=True)
        ]
        left_eV_A = [self.force_eV_A - force for _, force in errors]
        self.residual = Residual(positions, np.array(left_eV), np.array(left_eV_A))

    def added(self, positions_A: Floats) -> tuple[float, Floats]:
        """Energy (eV) and forces, shape (n, 3) (eV/A), added to the model's at ``positions_A``."""
        value, gradient = self.residual(positions_A)
        return value - self._work_eV(positions_A), self.force_eV_A - gradient

    def _work_eV(self, positions_A: Floats) -> float:
        """Work of the constant force from the lowest tie."""
        return float(np.sum(self.force_eV_A * (positions_A - self.origin_A)))

    def evaluate(self, frame: Frame) -> SurfacePoint:
        """The tied surface at a frame."""
        return self.evaluate_many([frame])[0]

    def evaluate_many(self, frames: Sequence[Frame]) -> list[SurfacePoint]:
        """The tied surface at each of the frames, in their order."""
        points = []
        for frame, point in zip(frames, self.surface.evaluate_many(frames), strict=True):
            energy, forces = self.added(frame.positions_A)
            points.append(
                SurfacePoint(
                    point.energy_eV + energy,
                    tuple(member + energy for member in point.member_energies_eV),
                    point.forces_eV_A + forces,
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
        added_eV, added_eV_A = self.tied.added(atoms.positions)
        forces = np.asarray(self.inner.get_property("forces", atoms)) + added_eV_A
        energy = float(self.inner.get_property("energy", atoms)) + added_eV
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
