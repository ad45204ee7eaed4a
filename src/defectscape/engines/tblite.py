"""The embedded engine: extended tight binding by the tblite package.

Gamma point of the given cell only. Electrons are counted from the total charge; the multiplicity
fixes the numbers of spin-up and spin-down electrons, which share one set of orbitals (no spin
polarisation) with Fermi occupations of their own. Sources: GFN1-xTB, S. Grimme et al., J. Chem. Theory
Comput. 13, 1989 (2017); IPEA1-xTB, V. Asgeirsson et al., Chem. Sci. 8, 4879 (2017); GFN2-xTB,
C. Bannwarth et al., J. Chem. Theory Comput. 15, 1652 (2019).
"""

import json
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from ase.units import Bohr, Hartree, kB

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Floats, Frame
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, Rung
from defectscape.settings.engine import TbliteEngine as TbliteSettings

LADDER = (
    Rung("as configured", "Broyden mixing with damping 0.4"),
    Rung("slow mixing", "damping 0.1, four times the SCF cycles"),
    Rung("slower mixing", "damping 0.03, ten times the SCF cycles"),
)


class TbliteEngine:
    """tblite at one level.

    Args:
        settings: method, electronic temperature and so on.

    Raises:
        EngineError: if tblite is not installed.
    """

    name = "tblite"
    ladder = LADDER

    def __init__(self, settings: TbliteSettings) -> None:
        self.settings = settings
        try:
            self.version = version("tblite")
        except PackageNotFoundError:
            raise EngineError(
                "engine", "tblite is not installed", "Install it: pip install tblite"
            ) from None

    @cached_property
    def settings_json(self) -> str:
        """The settings that change a converged result; the number of SCF cycles does not."""
        content = {
            "method": self.settings.method,
            "electronic_temperature_K": self.settings.electronic_temperature_K,
            "accuracy": self.settings.accuracy,
        }
        return json.dumps(content, sort_keys=True)

    def _calculator(self, frame: Frame, rung: int) -> Any:
        try:
            from tblite.interface import Calculator
        except ImportError as error:
            raise EngineError(
                "engine",
                f"tblite cannot be loaded ({error})",
                "Install it again: pip install tblite",
            ) from error
        calculator = Calculator(
            self.settings.method,
            frame.numbers,
            frame.positions_A / Bohr,
            float(frame.charge),
            frame.multiplicity - 1,
            frame.cell_A / Bohr,
            np.array([True, True, True]),
        )
        calculator.set("verbosity", 0)
        calculator.set("accuracy", self.settings.accuracy)
        calculator.set("temperature", self.settings.electronic_temperature_K * kB / Hartree)
        calculator.set("max-iter", self.settings.max_iterations * (1, 4, 10)[rung])
        calculator.set("mixer-damping", (0.4, 0.1, 0.03)[rung])
        return calculator

    def compute(self, frame: Frame, rung: int) -> Label:
        """Energy, forces, stress and band edges of a frame.

        Raises:
            CalculationFailed: if the SCF does not converge.
            EngineError: if tblite cannot be loaded.
        """
        try:
            result = self._calculator(frame, rung).singlepoint()
        except (RuntimeError, ValueError) as error:
            # tblite raises subclasses of RuntimeError for everything it gives up on.
            raise CalculationFailed(f"tblite: {error}") from error
        energy_eV = float(result.get("energy")) * Hartree
        forces_eV_A = -np.asarray(result.get("gradient")) * Hartree / Bohr
        volume_A3 = abs(float(np.linalg.det(frame.cell_A)))
        stress_eV_A3 = np.asarray(result.get("virial")) * Hartree / volume_A3
        if not (np.isfinite(energy_eV) and np.all(np.isfinite(forces_eV_A))):
            raise CalculationFailed("tblite: energy or forces are NaN or infinite")
        vbm_eV, cbm_eV = _band_edges_eV(
            np.asarray(result.get("orbital-energies")) * Hartree,
            np.asarray(result.get("orbital-occupations")),
        )
        return Label(energy_eV, forces_eV_A, stress_eV_A3, vbm_eV, cbm_eV)


def _band_edges_eV(energies_eV: Floats, occupations: Floats) -> tuple[float, float]:
    """Highest occupied and lowest empty level by electron count, both spins in one set, eV."""
    levels = np.sort(energies_eV.ravel())
    electrons = round(float(occupations.sum()))
    occupied = (electrons + 1) // 2
    empty = electrons // 2
    return float(levels[occupied - 1]), float(levels[empty])
