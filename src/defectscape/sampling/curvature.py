"""The curvature of the energy of the perfect supercell along all displacements of its atoms, from few labels.

phonopy (Togo, J. Phys. Soc. Jpn. 92, 012001 (2023)) says which displacements the crystal's symmetry leaves to do, two
or four in zinc blende, and makes the matrix of force constants of the forces. Its lowest eigenvalue that is no
translation tells whether the crystal is a minimum, which no relaxation tells: along a soft direction the forces are
below any limit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.site import HostCrystal
from defectscape.files.quiet import quiet
from defectscape.sampling.host import host_frame

STEP_A = 0.05
"""Displacement of an atom: 1 meV/A of noise in a force is 0.02 eV/A^2 of curvature, and bonds are still harmonic."""


@dataclass(frozen=True, eq=False)
class SoftestMode:
    """The displacement with the lowest curvature, translations left out.

    Attributes:
        curvature_eV_A2: second derivative of the energy along ``direction``, eV/A^2; below 0 where the perfect
            supercell is no minimum.
        direction: shape (n, 3), of norm 1.
    """

    curvature_eV_A2: float
    direction: Floats


class HostCurvature:
    """Which displaced supercells are to be labelled, and what their forces say.

    Args:
        host: the crystal.
        ferromagnet: multiplicity of its supercell, if its moments are parallel.
    """

    def __init__(self, host: HostCrystal, ferromagnet: int | None = None) -> None:
        self.perfect = host_frame(host, ferromagnet)
        with quiet("phonopy"):
            from phonopy import Phonopy
            from phonopy.structure.atoms import PhonopyAtoms

            cell = PhonopyAtoms(numbers=host.numbers, positions=host.positions_A, cell=host.cell_A)
            self._phonopy: Any = Phonopy(cell, supercell_matrix=np.eye(3), primitive_matrix=np.eye(3), log_level=0)
            self._phonopy.generate_displacements(distance=STEP_A)
        self._steps = [(int(item["number"]), np.asarray(item["displacement"])) for item in self._displacements()]

    def _displacements(self) -> list[dict[str, Any]]:
        return list(self._phonopy.dataset["first_atoms"])

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The displaced supercells."""
        found = []
        for number, (atom, step_A) in enumerate(self._steps, start=1):
            positions = self.perfect.positions_A.copy()
            positions[atom] += step_A
            found.append(self.perfect.moved(positions, origin=Origin.RATTLE, note=f"displacement {number}"))
        return tuple(found)

    def softest(self, forces_eV_A: list[Floats]) -> SoftestMode:
        """The softest mode of the supercell.

        Args:
            forces_eV_A: forces (n, 3) of each of ``frames``, in their order.
        """
        count = 3 * len(self.perfect)
        with quiet("phonopy"):
            self._phonopy.forces = np.array(forces_eV_A)
            self._phonopy.produce_force_constants()
            self._phonopy.symmetrize_force_constants()
        constants = np.asarray(self._phonopy.force_constants).transpose(0, 2, 1, 3).reshape(count, count)
        # A translation has no curvature: lifted above all others, it is never the softest.
        uniform = np.tile(np.eye(3), (len(self.perfect), 1)) / np.sqrt(len(self.perfect))
        lift = 1.0 + float(np.max(np.abs(np.linalg.eigvalsh(constants))))
        values, vectors = np.linalg.eigh((constants + constants.T) / 2 + lift * uniform @ uniform.T)
        return SoftestMode(float(values[0]), vectors[:, 0].reshape(-1, 3))
