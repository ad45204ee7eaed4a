"""The embedded engine: extended tight binding (GFN1-, GFN2- and IPEA1-xTB) from tblite.

A real electronic structure with real charge dependence, cheap enough for tests and for the default
study. Periodic cells are treated at the Gamma point. Sources: GFN1 doi:10.1021/acs.jctc.7b00118,
GFN2 doi:10.1021/acs.jctc.8b01176, IPEA1 doi:10.1039/c7sc00601b.
"""

import json
from importlib.metadata import version

import numpy as np
from ase.units import Bohr, Hartree, kB
from tblite.exceptions import TBLiteRuntimeError
from tblite.interface import Calculator, Result

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Floats, Frame, Ints
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, ScfAttempt
from defectscape.settings.tblite import HEAVIEST, TbliteSettings

ATTEMPTS = (
    ScfAttempt("configured", "As configured, Broyden mixing with damping 0.4 and a full history."),
    ScfAttempt("damped", "Twice the cycles, damping 0.1 and a mixing history of 20."),
    ScfAttempt(
        "annealed",
        "Solved at 8000 K, then cooled in steps to the configured electronic temperature, each "
        "step starting from the one before; damping 0.2, a mixing history of 20.",
    ),
)
ANNEALING_K = (8000.0, 5000.0, 3000.0, 2000.0, 1300.0, 900.0, 600.0, 400.0)
MIXING_HISTORY = 20

MAX_ATOMIC_CHARGE = 5.0
"""Largest Mulliken charge of a physical solution, e. The third-order terms of these Hamiltonians are
cubic in the charges, so the equations also have solutions with 15 to 20 electrons moved onto one
atom, thousands of eV too low, which a mixer may well converge to."""

HOPELESS = ("Too close", "not compatible")
"""In tblite's messages on overlapping atoms and impossible spins."""


class TbliteEngine:
    """tblite with fixed settings.

    Charge and spin: the total charge is the frame's. The multiplicity fixes the numbers of spin-up
    and spin-down electrons (they differ by multiplicity - 1); both fill the same orbitals, each with
    a Fermi level of its own at the electronic temperature (restricted open shell, no spin
    polarisation). An odd-electron frame is therefore a doublet with a smooth potential energy
    surface. A multiplicity of the wrong parity, or a charge beyond the valence electrons, which
    tblite would alter in silence, is a failure here.

    The energy is tblite's: the total energy less the electronic entropy term, which is what the
    forces and the stress are derivatives of.

    Args:
        settings: method, electronic temperature, accuracy, cycles.
    """

    def __init__(self, settings: TbliteSettings) -> None:
        self.settings = settings
        self.name = f"tblite/{settings.method}"
        self.version = f"tblite {version('tblite')}"
        # The number of cycles does not change a solution once it is converged.
        content = settings.model_dump(exclude={"kind", "max_iterations"})
        self.settings_json = json.dumps(content, sort_keys=True)
        self.attempts = ATTEMPTS

    def settings_of(self, numbers: Ints) -> str:
        """All settings: none is of one element."""
        return self.settings_json

    def compute(self, frame: Frame, attempt: int) -> Label:
        """Energy (eV), forces (eV/A), stress (eV/A^3, ASE's sign) and frontier levels (eV).

        Every call starts from the same guess, so that the label is a function of the frame alone.

        Raises:
            CalculationFailed: if it does not converge, converges to an unphysical solution, or the
                frame's charge, spin or distances are impossible.
            EngineError: if the method has no parameters for an element.
        """
        self._refuse_impossible(frame)
        try:
            result = self._solve(frame, attempt)
        except TBLiteRuntimeError as error:
            hopeless = any(text in str(error) for text in HOPELESS)
            raise CalculationFailed(str(error), hopeless=hopeless) from error
        electrons = _check_solution(frame, result)
        volume_A3 = abs(float(np.linalg.det(frame.cell_A)))
        homo, lumo = _frontier_levels_eV(frame, result, electrons)
        return Label(
            float(result.get("energy")) * Hartree,
            -np.asarray(result.get("gradient")) * Hartree / Bohr,
            np.asarray(result.get("virial")) * Hartree / volume_A3,
            homo,
            lumo,
        )

    def _refuse_impossible(self, frame: Frame) -> None:
        """Stop what tblite must not be given."""
        heaviest = int(np.max(frame.numbers))
        if heaviest > HEAVIEST:
            raise EngineError(
                f"engine {self.name}",
                f"no parameters for atomic number {heaviest}",
                "Choose another engine in fidelities, or a host of lighter elements",
            )
        # With a negative number of electrons tblite 0.8 writes beyond its arrays, and the process
        # dies some calls later. Every atom has a valence electron at least, so this is safe.
        if frame.charge > len(frame):
            raise CalculationFailed(
                f"charge {frame.charge:+d} takes more than one electron from each of {len(frame)} atoms",
                hopeless=True,
            )

    def _solve(self, frame: Frame, attempt: int) -> Result:
        cycles = self.settings.max_iterations
        if attempt == 0:
            return self._calculator(frame, cycles).singlepoint()
        if attempt == 1:
            calculator = self._calculator(frame, 2 * cycles)
            calculator.set("mixer-damping", 0.1)
            calculator.set("mixer-memory", MIXING_HISTORY)
            return calculator.singlepoint()
        calculator = self._calculator(frame, cycles)
        calculator.set("mixer-damping", 0.2)
        calculator.set("mixer-memory", MIXING_HISTORY)
        target_K = self.settings.electronic_temperature_K
        result: Result | None = None
        for temperature_K in (step for step in ANNEALING_K if step > target_K):
            result = _solve_at(calculator, temperature_K, result)
        return _solve_at(calculator, target_K, result)

    def _calculator(self, frame: Frame, cycles: int) -> Calculator:
        calculator = Calculator(
            self.settings.method,
            frame.numbers,
            frame.positions_A / Bohr,
            charge=float(frame.charge),
            uhf=frame.multiplicity - 1,
            lattice=frame.cell_A / Bohr,
            periodic=np.array([True, True, True]),
        )
        calculator.set("verbosity", 0)
        calculator.set("accuracy", self.settings.accuracy)
        calculator.set("temperature", self.settings.electronic_temperature_K * kB / Hartree)
        calculator.set("max-iter", cycles)
        return calculator


def _solve_at(calculator: Calculator, temperature_K: float, start: Result | None) -> Result:
    """The solution at an electronic temperature, K, from another solution if one is given."""
    calculator.set("temperature", temperature_K * kB / Hartree)
    return calculator.singlepoint(start)


def _check_solution(frame: Frame, result: Result) -> int:
    """The number of valence electrons, once the solution is the one that was asked for.

    Raises:
        CalculationFailed: if it is not.
    """
    charges: Floats = np.asarray(result.get("charges"))
    electrons = round(float(np.sum(result.get("orbital-occupations"))))
    if abs(float(charges.sum()) - frame.charge) > 1e-3:
        raise CalculationFailed(
            f"charge {frame.charge:+d} is impossible: tblite gave {charges.sum():+.3f}",
            hopeless=True,
        )
    unpaired = frame.multiplicity - 1
    if (electrons - unpaired) % 2 or unpaired > electrons:
        raise CalculationFailed(
            f"multiplicity {frame.multiplicity} is impossible with {electrons} valence electrons",
            hopeless=True,
        )
    largest = float(np.max(np.abs(charges)))
    if largest > MAX_ATOMIC_CHARGE:
        raise CalculationFailed(f"SCF converged to an unphysical solution: {largest:.1f} e moved at one atom")
    return electrons


def _frontier_levels_eV(frame: Frame, result: Result, electrons: int) -> tuple[float | None, float | None]:
    """Highest (at least half) filled and lowest empty level, eV, by the count of electrons.

    The count decides, not the smeared occupations. With unpaired electrons the highest of them sets
    the first.
    """
    levels = np.sort(np.asarray(result.get("orbital-energies"))) * Hartree
    filled = (electrons + frame.multiplicity - 1) // 2
    homo = float(levels[filled - 1]) if filled > 0 else None
    lumo = float(levels[filled]) if filled < len(levels) else None
    return homo, lumo
