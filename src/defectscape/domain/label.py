"""A label: what an engine says of a frame, and the record kept of the calculation."""

from dataclasses import dataclass

import numpy as np

from defectscape.domain.frame import Floats, Frame, frozen_array


@dataclass(frozen=True, eq=False)
class Label:
    """Energy and forces of one frame at one fidelity.

    Attributes:
        energy_eV: raw supercell energy, uncorrected, eV.
        forces_eV_A: shape (n, 3), eV/A.
        stress_eV_A3: shape (3, 3), eV/A^3, ASE's sign convention, or None where the engine has none.
        vbm_eV: highest occupied eigenvalue, eV, or None.
        cbm_eV: lowest empty eigenvalue, eV, or None.
        absolute_magnetisation: integral of the absolute spin density over the cell, Bohr magnetons,
            or None where the engine does not say; more than the unpaired electrons is an open shell.
    """

    energy_eV: float
    forces_eV_A: Floats
    stress_eV_A3: Floats | None = None
    vbm_eV: float | None = None
    cbm_eV: float | None = None
    absolute_magnetisation: float | None = None

    def __post_init__(self) -> None:
        count = len(self.forces_eV_A)
        set_ = object.__setattr__
        set_(self, "energy_eV", float(frozen_array(self.energy_eV, np.float64, (), "energy")))
        forces = frozen_array(self.forces_eV_A, np.float64, (count, 3), "forces")
        set_(self, "forces_eV_A", forces)
        if self.stress_eV_A3 is not None:
            stress = frozen_array(self.stress_eV_A3, np.float64, (3, 3), "stress")
            set_(self, "stress_eV_A3", stress)

    @property
    def fmax_eV_A(self) -> float:
        """Largest force on an atom, eV/A."""
        return float(np.max(np.linalg.norm(self.forces_eV_A, axis=1)))


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A frame with its label at one fidelity (a head of the model)."""

    frame: Frame
    label: Label
    fidelity: str
