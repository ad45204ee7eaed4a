"""A calculator that computes real pair energies, and misbehaves where it is told to.

What it does wrong is read from the file that ``FAULTS`` names: seconds to sleep in every
calculation, and habits of single structures. A test changes the file and nothing else, so the
labels' keys stay what they are.
"""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
from ase.calculators.calculator import CalculationFailed, all_changes
from ase.calculators.morse import MorsePotential

FAULTS = "DEFECTSCAPE_TEST_FAULTS"


def name_of(positions_A: np.ndarray) -> str:
    """A name for a structure that survives being written and read."""
    return " ".join(f"{x:.3f}" for x in np.asarray(positions_A)[:3].ravel())


class Pairs(MorsePotential):
    """Morse pairs whose equilibrium distance depends on the charge; a depth per fidelity."""

    implemented_properties = ("energy", "forces", "stress", "free_energy")

    def __init__(self, depth_eV: float = 0.3, charge: int = 0) -> None:
        self.constant_eV = -100.0 - 5.0 * charge
        super().__init__(epsilon=depth_eV, rho0=4.0, r0=2.8 + 0.05 * charge, rcut1=3.6, rcut2=4.2)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        faults = json.loads(Path(os.environ[FAULTS]).read_text()) if FAULTS in os.environ else {}
        time.sleep(faults.get("sleep_s", 0.0))
        habit = faults.get("habits", {}).get(name_of(atoms.positions))
        if habit == "hangs":
            time.sleep(3600)
        elif habit == "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif habit == "does not converge":
            raise CalculationFailed("no convergence in 200 cycles")
        super().calculate(atoms, properties, system_changes)
        if habit == "is not finite":
            self.results["forces"][0, 0] = np.nan
        elif habit == "is of another structure":
            self.atoms.positions[0] += 0.5
        self.results["energy"] += self.constant_eV
        self.results["free_energy"] = self.results["energy"]
