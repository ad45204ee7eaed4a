"""Labels of an analytic crystal whose bonds know the charge: seven atoms of CdTe without one cadmium."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.morse import MorsePotential

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label

FAMILIES = ["unperturbed", "a", "b", "c", "d"]


def frame_of(family: str, charge: int, seed: int) -> Frame:
    atoms = bulk("CdTe", "zincblende", 6.48, cubic=True)
    del atoms[0]
    rng = np.random.default_rng([FAMILIES.index(family), charge % 5, seed])
    positions = atoms.positions + rng.normal(0, 0.1, (len(atoms), 3))
    return Frame(
        atoms.numbers,
        positions,
        atoms.cell.array,
        DefectKey("v_Cd", charge),
        1,
        Origin.RATTLE,
        f"v_Cd/{family}",
    )


def label_of(frame: Frame, depth_eV: float) -> Label:
    """An analytic crystal whose bonds know the charge."""
    atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
    atoms.calc = MorsePotential(epsilon=depth_eV, rho0=4.0, r0=2.8 + 0.1 * frame.charge, rcut1=3.2, rcut2=4.2)
    return Label(atoms.get_potential_energy() - 11.0 * frame.charge, atoms.get_forces())
