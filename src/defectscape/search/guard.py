"""Limits of a relaxation or a dynamics: what ends it where the geometry or the prediction is unphysical.

The geometry is checked before the surface is evaluated, the prediction after, whatever optimiser moves
the atoms. The accepted geometries are kept in their order.
"""

import numpy as np
from ase.geometry import minkowski_reduce

from defectscape.domain.frame import Floats, Frame
from defectscape.domain.prediction import Prediction
from defectscape.sampling.lengths import closest_allowed_A
from defectscape.settings.search import SearchSettings

LARGEST_FALL_EV_ATOM = 5.0
"""No relaxation of a solid gains this much per atom; a model that predicts it extrapolates."""


class StoppedError(Exception):
    """The relaxation must end; the text says why."""


class Watch:
    """Checks every geometry before the surface is evaluated there, and every prediction after.

    Args:
        start: where the relaxation begins.
        settings: the limits.

    Attributes:
        positions_A: accepted geometries in their order, each (n, 3), A.
        fmax_eV_A: largest force of each.
        last: the prediction at the last of them; None before the first.
    """

    def __init__(self, start: Frame, settings: SearchSettings) -> None:
        self.start_A = start.positions_A
        self.contacts = _Contacts(start.cell_A, closest_allowed_A(start.numbers, settings.shortest_distance_A))
        self.limits = settings
        self.positions_A: list[Floats] = []
        self.fmax_eV_A: list[float] = []
        self.last: Prediction | None = None
        self.first_energy_eV = np.nan
        self.first_std_eV_A = np.nan

    def admit(self, positions_A: Floats) -> None:
        """Check a geometry (n, 3), A, before the surface is evaluated there.

        Raises:
            StoppedError: with the reason.
        """
        if not np.all(np.isfinite(positions_A)):
            raise StoppedError("non-finite position")
        moved = float(np.max(np.linalg.norm(positions_A - self.start_A, axis=1)))
        if moved > self.limits.max_displacement_A:
            raise StoppedError(f"an atom moved {moved:.2f} A")
        close_A = self.contacts.too_close_A(positions_A)
        if close_A is not None:
            raise StoppedError(f"two atoms came within {close_A:.2f} A")

    def accept(self, positions_A: Floats, point: Prediction) -> None:
        """Check the prediction at a geometry (n, 3), A, and keep both.

        Raises:
            StoppedError: with the reason.
        """
        if not np.isfinite(point.energy_eV):
            raise StoppedError("non-finite energy")
        if not np.all(np.isfinite(point.forces_eV_A)):
            raise StoppedError("non-finite force")
        force_std_eV_A = float(np.max(point.force_std_eV_A))
        if self.last is None:
            self.first_energy_eV, self.first_std_eV_A = point.energy_eV, force_std_eV_A
        fall = (self.first_energy_eV - point.energy_eV) / len(positions_A)
        if fall > LARGEST_FALL_EV_ATOM:
            raise StoppedError(f"the energy fell by {fall:.1f} eV/atom")
        self.positions_A.append(positions_A.copy())
        self.fmax_eV_A.append(float(np.max(np.linalg.norm(point.forces_eV_A, axis=1))))
        self.last = point
        # The committee may disagree on a distorted start; what ends the relaxation is that it comes to
        # disagree more. The geometry is kept: it is the one that the next round should label.
        limit = self.limits.stop_force_std_eV_A
        if limit is not None and force_std_eV_A > max(limit, self.first_std_eV_A):
            raise StoppedError(f"the committee's forces came to differ by {force_std_eV_A:.2f} eV/A")


class _Contacts:
    """Interatomic distances in a periodic cell against what each pair of atoms may have.

    In the reduced cell the nearest image of a pair is among the 27 neighbours of the wrapped vector. They
    are computed only where the wrapped distance does not prove itself the shortest.
    """

    def __init__(self, cell_A: Floats, allowed_A: Floats) -> None:
        self.first, self.second = np.triu_indices(len(allowed_A), k=1)
        self.allowed_A = allowed_A[self.first, self.second]
        self.own_allowed_A = float(np.max(np.diagonal(allowed_A)))
        self.cell_A, _ = minkowski_reduce(cell_A)
        self.inverse = np.linalg.inv(self.cell_A)
        heights_A = 1.0 / np.linalg.norm(self.inverse, axis=0)
        self.sure_A = float(np.min(heights_A)) / 2
        grid = np.indices((3, 3, 3)).reshape(3, -1).T - 1
        self.images_A = grid @ self.cell_A
        itself = np.linalg.norm(self.images_A, axis=1)
        self.own_image_A = float(np.min(itself[itself > 0]))

    def too_close_A(self, positions_A: Floats) -> float | None:
        """The shortest distance, A, of those that are shorter than allowed, or None."""
        vectors = positions_A[self.second] - positions_A[self.first]
        fractional = vectors @ self.inverse
        vectors -= np.rint(fractional) @ self.cell_A
        distances = np.linalg.norm(vectors, axis=1)
        unsure = (distances > self.sure_A) & (self.sure_A < self.allowed_A)
        if np.any(unsure):
            every = np.linalg.norm(vectors[unsure, None] + self.images_A, axis=2)
            distances[unsure] = every.min(axis=1)
        close = distances[distances < self.allowed_A].tolist()
        if self.own_image_A < self.own_allowed_A:
            close.append(self.own_image_A)
        return min(close, default=None)
