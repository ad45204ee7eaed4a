"""What ends a relaxation as soon as it leaves the physical, or what the committee knows.

It stands between the optimiser and the surface, so that no geometry is evaluated that the surface
was never made for, whichever optimiser asks, and it keeps the healthy geometries in their order.
"""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from ase.geometry import minkowski_reduce

from defectscape.domain.frame import Floats, Frame
from defectscape.settings.search import Search

LARGEST_FALL_EV_ATOM = 5.0
"""No relaxation of a solid gains this much per atom; a model that says so extrapolates."""


PROPERTIES = ["energy", "forces", "free_energy"]


class StoppedError(Exception):
    """The relaxation must end; the text says why."""


class Watch:
    """Checks every geometry before, and every energy and force after, the surface is asked.

    Args:
        start: where the relaxation begins.
        settings: the limits.

    Attributes:
        positions_A: healthy geometries in their order, each (n, 3), A.
        fmax_eV_A: largest force of each.
    """

    def __init__(self, start: Frame, settings: Search) -> None:
        self.start_A = start.positions_A
        self.contacts = _Contacts(start.cell_A)
        self.limits = settings
        self.positions_A: list[Floats] = []
        self.fmax_eV_A: list[float] = []
        self.first_energy_eV = np.nan
        self.first_std_eV_A = np.nan

    def admit(self, positions_A: Floats) -> None:
        """Look at a geometry (n, 3), A. Raises StoppedError with the reason."""
        if not np.all(np.isfinite(positions_A)):
            raise StoppedError("non-finite position")
        moved = float(np.max(np.linalg.norm(positions_A - self.start_A, axis=1)))
        if moved > self.limits.max_displacement_A:
            raise StoppedError(f"an atom moved {moved:.2f} A")
        shortest = self.contacts.shortest_A(positions_A)
        if shortest < self.limits.shortest_distance_A:
            raise StoppedError(f"two atoms came within {shortest:.2f} A")

    def accept(
        self, positions_A: Floats, energy_eV: float, forces_eV_A: Floats, force_std_eV_A: float
    ) -> None:
        """Look at what the surface says there, and remember it.

        Args:
            positions_A: (n, 3).
            energy_eV: of the supercell.
            forces_eV_A: (n, 3).
            force_std_eV_A: largest committee deviation on an atom; NaN if there is no committee.

        Raises:
            StoppedError: with the reason.
        """
        if not np.isfinite(energy_eV):
            raise StoppedError("non-finite energy")
        if not np.all(np.isfinite(forces_eV_A)):
            raise StoppedError("non-finite force")
        if not self.positions_A:
            self.first_energy_eV, self.first_std_eV_A = energy_eV, force_std_eV_A
        fall = (self.first_energy_eV - energy_eV) / len(forces_eV_A)
        if fall > LARGEST_FALL_EV_ATOM:
            raise StoppedError(f"the energy fell by {fall:.1f} eV/atom")
        self.positions_A.append(positions_A.copy())
        self.fmax_eV_A.append(float(np.max(np.linalg.norm(forces_eV_A, axis=1))))
        # A distorted start may be strange to the committee; it must not go where it is stranger still.
        # The geometry is kept: it is the one that the next round should label.
        limit = self.limits.stop_force_std_eV_A
        if limit is not None and force_std_eV_A > max(limit, self.first_std_eV_A):
            raise StoppedError(
                f"the committee's forces came to differ by {force_std_eV_A:.2f} eV/A"
            )


class Guard(Calculator):
    """A calculator between an ASE optimiser and the surface, with a watch on both."""

    implemented_properties = PROPERTIES

    def __init__(self, inner: Calculator, watch: Watch) -> None:
        super().__init__()
        self.inner = inner
        self.watch = watch

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        """Energy (eV) and forces (eV/A). Raises StoppedError with the reason."""
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        self.watch.admit(atoms.positions)
        try:
            forces = np.array(self.inner.get_property("forces", atoms), dtype=float)
            energy = float(self.inner.get_property("energy", atoms))
        except CalculationFailed as error:
            raise StoppedError(f"calculation failed: {' '.join(str(error).split())}") from error
        std = float(self.inner.results.get("force_std", np.nan))
        self.watch.accept(atoms.positions, energy, forces, std)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}


class _Contacts:
    """Shortest distance in a periodic cell: in the reduced cell, the nearest image of a pair lies
    among the wrapped vector's 27 neighbours; only those for pairs that can matter are looked at."""

    def __init__(self, cell_A: Floats) -> None:
        self.cell_A, _ = minkowski_reduce(cell_A)
        self.inverse = np.linalg.inv(self.cell_A)
        heights_A = 1.0 / np.linalg.norm(self.inverse, axis=0)
        self.sure_A = float(np.min(heights_A)) / 2
        grid = np.indices((3, 3, 3)).reshape(3, -1).T - 1
        self.images_A = grid @ self.cell_A
        itself = np.linalg.norm(self.images_A, axis=1)
        self.own_image_A = float(np.min(itself[itself > 0]))

    def shortest_A(self, positions_A: Floats) -> float:
        first, second = np.triu_indices(len(positions_A), k=1)
        vectors = positions_A[second] - positions_A[first]
        fractional = vectors @ self.inverse
        vectors -= np.rint(fractional) @ self.cell_A
        distances = np.linalg.norm(vectors, axis=1)
        shortest = float(np.min(distances, initial=self.own_image_A))
        if shortest > self.sure_A:
            every = np.linalg.norm(vectors[:, None] + self.images_A, axis=2)
            shortest = float(np.min(every, initial=self.own_image_A))
        return shortest
