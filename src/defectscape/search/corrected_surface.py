"""The model's surface, corrected by the engine's labels at some geometries of one relaxation.

Near a minimum the engine's forces are small, and the model's force error is of their size: the model's own
minimum lies elsewhere by that error. The model's curvature is better than its forces. So a constant
force on every atom is added, which makes the model's forces at x0 those of the engine:

    E'(x) = E(x) - (F_engine - F_model)(x0) . (x - x0) + r(x)

x0 is the labelled geometry that the engine has lowest. With more than one label, r(x) interpolates what the
first two terms leave unexplained at the others (a Gaussian process, ``residual.py``), which corrects the
model's curvature as well. This is delta-learning along one relaxation.
"""

from collections.abc import Sequence

import numpy as np

from defectscape.domain.frame import Floats, Frame
from defectscape.domain.label import Label
from defectscape.domain.prediction import Prediction
from defectscape.search.residual import Residual
from defectscape.search.surface import Surface

Observation = tuple[Frame, Label]
"""A geometry and the engine's label of it."""

MOST_OBSERVATIONS = 10
"""The lowest so many are used: with more, solving for the residual costs more than it gains."""


def lowest_observation(observations: Sequence[Observation]) -> Observation:
    """The one with the engine's lowest energy."""
    return min(observations, key=lambda observation: observation[1].energy_eV)


class CorrectedSurface:
    """A surface with the engine's forces at some geometries.

    Args:
        surface: the model's surface.
        observations: labelled geometries of one defect and charge, at least one; the surface is good
            near them only. At the lowest of them the energy stays the model's.
    """

    def __init__(self, surface: Surface, observations: Sequence[Observation]) -> None:
        self.surface = surface
        ordered = sorted(observations, key=lambda item: item[1].energy_eV)[:MOST_OBSERVATIONS]
        points = surface.evaluate_many([frame for frame, _ in ordered])
        errors = [
            (label.energy_eV - point.energy_eV, label.forces_eV_A - point.forces_eV_A)
            for (_, label), point in zip(ordered, points, strict=True)
        ]
        lowest_eV, self.force_eV_A = errors[0]
        self.origin_A = ordered[0][0].positions_A
        positions = np.array([frame.positions_A for frame, _ in ordered])
        # Zero at the lowest observation itself: with it alone the residual is zero everywhere.
        unexplained_eV = [
            error - lowest_eV + self._work_eV(where) for where, (error, _) in zip(positions, errors, strict=True)
        ]
        unexplained_eV_A = [self.force_eV_A - force for _, force in errors]
        self.residual = Residual(positions, np.array(unexplained_eV), np.array(unexplained_eV_A))

    def evaluate(self, frame: Frame) -> Prediction:
        """The corrected surface at a frame."""
        return self.evaluate_many([frame])[0]

    def evaluate_many(self, frames: Sequence[Frame]) -> list[Prediction]:
        """The corrected surface at each of the frames, in their order."""
        points = []
        for frame, point in zip(frames, self.surface.evaluate_many(frames), strict=True):
            energy_eV, forces_eV_A = self._correction(frame.positions_A)
            points.append(
                Prediction(
                    point.energy_eV + energy_eV,
                    tuple(member + energy_eV for member in point.member_energies_eV),
                    point.forces_eV_A + forces_eV_A,
                    point.force_std_eV_A,
                )
            )
        return points

    def _correction(self, positions_A: Floats) -> tuple[float, Floats]:
        """Energy (eV) and forces, shape (n, 3) (eV/A), added to the model's at ``positions_A``."""
        value, gradient = self.residual(positions_A)
        return value - self._work_eV(positions_A), self.force_eV_A - gradient

    def _work_eV(self, positions_A: Floats) -> float:
        """Work of the constant force from the lowest observation."""
        return float(np.sum(self.force_eV_A * (positions_A - self.origin_A)))
