"""The energy surface of a unit cell, computed in its supercell."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from defectscape.domain.frame import Ints
from defectscape.domain.site import HostCrystal


class SupercellSurface(Calculator):
    """ASE calculator for the host's unit cell that asks another one for the whole supercell.

    The energy is that of one unit cell, a force the mean over the images of an atom, and the stress
    the supercell's own. A supercell sampled at Gamma has a lower symmetry than the crystal; working
    on the unit cell lets the crystal's full space group be imposed on it.

    Args:
        host: the crystal at the start, which fixes which supercell atom is whose image.
        owners: unit-cell atom of each supercell atom, shape (n,).
        calculator: the supercell's calculator.
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, host: HostCrystal, owners: Ints, calculator: Calculator) -> None:
        super().__init__()
        inverse = np.linalg.inv(host.unit_cell_A)
        self._shifts = np.rint((host.positions_A - host.unit_positions_A[owners]) @ inverse)
        self._owners = owners
        self._matrix = host.matrix
        self._supercell = Atoms(host.numbers, host.positions_A, cell=host.cell_A, pbc=True, calculator=calculator)

    def calculate(  # type: ignore[override]
        self,
        atoms: Atoms,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill in energy (eV), forces (n, 3) (eV/A) and, if asked for, stress (6,) (eV/A^3)."""
        super().calculate(atoms, properties, system_changes)
        cell = np.asarray(atoms.cell)
        positions = atoms.get_positions()[self._owners] + self._shifts @ cell
        self._supercell.set_cell(self._matrix @ cell)
        self._supercell.set_positions(positions)
        count = len(self._supercell) // len(atoms)
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, self._owners, self._supercell.get_forces())
        self.results = {
            "energy": float(self._supercell.get_potential_energy()) / count,
            "forces": forces / count,
        }
        # Engines without stresses can still relax positions.
        if "stress" in properties:
            self.results["stress"] = self._supercell.get_stress()
