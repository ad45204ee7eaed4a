"""Any ASE calculator as an engine: it is told charge and spin, or it is not used.

A calculator's class is named in the study and imported, so a study from others can run whatever is
installed here; only subclasses of ASE's own base classes, and ``MAKERS``, are called.
"""

import contextlib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import BaseCalculator, CalculatorError

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame, Ints
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, ScfAttempt
from defectscape.engines.program import scratch_folder, tail
from defectscape.files.atoms import to_atoms
from defectscape.settings.ase_calculator import MOMENTS, AseSettings

MAKERS = ("gpaw.GPAW",)
"""Functions that return a calculator; no other function that a study names is called."""

MOMENT_TOLERANCE = 0.1
"""Unpaired electrons that a smeared SCF may be away from the whole number that was asked for."""


class AseEngine:
    """An ASE calculator with fixed arguments.

    The energy is the one that the forces are derivatives of: ``free_energy`` where the calculator
    tells it apart. Band edges come from eigenvalues and Fermi level, where it has them.

    Args:
        settings: class, arguments, where charge and spin go.

    Raises:
        EngineError: if the class cannot be imported or is no ASE calculator.
    """

    def __init__(self, settings: AseSettings) -> None:
        self.settings = settings
        self.name = f"ase/{settings.calculator}"
        self._class = calculator_class(settings.calculator)
        self.version = calculator_version(settings.calculator)
        self.attempts = (
            ScfAttempt("configured", "As configured."),
            *(ScfAttempt(f"engine.ladder[{k}]", str(a)) for k, a in enumerate(settings.ladder)),
        )
        self.settings_json = json.dumps(
            settings.model_dump(
                mode="json",
                include={"arguments", "charge", "multiplicity", "method", "revision", "stress"},
            ),
            sort_keys=True,
        )

    def settings_of(self, numbers: Ints) -> str:
        """All settings: none is of one element."""
        return self.settings_json

    def compute(self, frame: Frame, attempt: int) -> Label:
        """Energy (eV), forces (eV/A), stress (eV/A^3, if asked for), band edges (eV, if known).

        Raises:
            CalculationFailed: if the calculator fails.
            EngineError: if it does not take the arguments.
        """
        arguments: dict[str, Any] = dict(self.settings.arguments)
        if attempt:
            arguments |= self.settings.ladder[attempt - 1]
        atoms = to_atoms(frame)
        for place, value in (
            (self.settings.charge, frame.charge),
            (self.settings.multiplicity, frame.multiplicity),
        ):
            if place == MOMENTS:
                atoms.set_initial_magnetic_moments(np.full(len(atoms), (value - 1) / len(atoms)))
            elif place.startswith("info."):
                atoms.info[place.removeprefix("info.")] = value
            elif place != "none":
                arguments[place] = value
        with scratch_folder(self.settings.scratch) as folder:
            if self.settings.folder is not None:
                arguments[self.settings.folder] = str(folder)
            try:
                atoms.calc = self._class(**arguments)
            except TypeError as error:
                raise EngineError(
                    f"engine {self.name}",
                    error,
                    "Correct engine.arguments, charge and multiplicity",
                ) from error
            with _closed_after(atoms.calc):
                try:
                    label = self._label(atoms, frame)
                except CalculationFailed as error:
                    raise CalculationFailed(f"{error}{self._endings(folder)}", hopeless=error.hopeless) from error
            self._refuse_failed(folder)
            return label

    def _refuse_failed(self, folder: Path) -> None:
        for name, text in self.settings.failed_if.items():
            try:
                found = text.encode() in (folder / name).read_bytes()
            except OSError as error:
                raise EngineError(
                    f"engine {self.name}, output {name}",
                    error.strerror or error,
                    "Correct engine.failed_if: the file is what tells a failure",
                ) from error
            if found:
                raise CalculationFailed(f"{name} says {text!r}")

    def _endings(self, folder: Path) -> str:
        """The last words of the outputs, whose folder is about to go."""
        words = ""
        for name in self.settings.failed_if:
            with contextlib.suppress(OSError):
                plain = " ".join(re.sub(r"[*=|/\\_]+", " ", tail(folder / name)).split())
                words += f"; {name} ends: {plain[-300:]}"
        return words

    def _label(self, atoms: Atoms, frame: Frame) -> Label:
        try:
            energy_eV = float(atoms.get_potential_energy(force_consistent=_has_free_energy(atoms)))
            forces = np.array(atoms.get_forces())
            stress = atoms.get_stress(voigt=False) if self.settings.stress else None
        except Exception as error:
            # Programs have exceptions of their own (GPAW's are no ASE error): all mean that there is no number.
            raise CalculationFailed(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        moved = float(np.max(np.abs(atoms.calc.atoms.positions - frame.positions_A), initial=0.0))
        if len(atoms.calc.atoms) != len(frame) or moved > 1e-6:
            raise CalculationFailed("the calculator answered for another structure", hopeless=True)
        if self.settings.multiplicity == MOMENTS:
            _refuse_other_spin(atoms, frame.unpaired)
        return Label(energy_eV, forces, stress, *_edges_eV(atoms.calc))


@contextlib.contextmanager
def _closed_after(calculator: Any) -> Iterator[None]:
    """Ends the program behind a calculator, and with it the last of its output."""
    try:
        yield
    finally:
        close = getattr(calculator, "close", None)
        if callable(close):
            close()


def calculator_class(path: str) -> Callable[..., Any]:
    """The class (or one of ``MAKERS``) at ``module.Class``, once it is known to be an ASE calculator.

    Raises:
        EngineError: if it cannot be imported, or is none.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise EngineError(
            f"ASE calculator {path}", error, "Install its package, or correct engine.calculator"
        ) from error
    is_class = inspect.isclass(found) and issubclass(found, BaseCalculator | GetPropertiesMixin)
    if not is_class and path not in MAKERS:
        raise EngineError(
            f"ASE calculator {path}",
            "is no ASE calculator class",
            "Give the class itself, with its module",
        )
    return found


def calculator_version(path: str) -> str:
    """Name and version of the package that the class comes from."""
    top = path.partition(".")[0]
    for distribution in packages_distributions().get(top, [top]):
        with contextlib.suppress(PackageNotFoundError):
            return f"{distribution} {version(distribution)}"
    return f"{top}, version unknown"


def _refuse_other_spin(atoms: Atoms, unpaired: int) -> None:
    """Moments are where an SCF starts; without a constraint it may end in another spin state."""
    try:
        moment = float(atoms.get_magnetic_moment())
    except NotImplementedError as error:
        raise EngineError(
            f"engine {type(atoms.calc).__name__}",
            "does not tell its total magnetic moment",
            f"Whether its spin is the one asked for is unknown: give engine.multiplicity otherwise than {MOMENTS}",
        ) from error
    if abs(moment - unpaired) > MOMENT_TOLERANCE:
        raise CalculationFailed(
            f"it ended with {moment:.2f} unpaired electrons instead of {unpaired}: "
            "fix the total moment in engine.arguments"
        )


def _has_free_energy(atoms: Atoms) -> bool:
    return "free_energy" in getattr(atoms.calc, "implemented_properties", ())


def _edges_eV(calculator: Any) -> tuple[float | None, float | None]:
    """Highest level below and lowest above the Fermi level, eV, where the calculator tells."""
    names = ("get_eigenvalues", "get_fermi_level", "get_number_of_spins", "get_ibz_k_points")
    if not all(callable(getattr(calculator, name, None)) for name in names):
        return None, None
    try:
        fermi_eV = float(calculator.get_fermi_level())
        levels = np.concatenate(
            [
                np.asarray(calculator.get_eigenvalues(kpt=point, spin=spin))
                for spin in range(calculator.get_number_of_spins())
                for point in range(len(calculator.get_ibz_k_points()))
            ]
        )
    except (NotImplementedError, CalculatorError, TypeError, ValueError, AssertionError):
        # GPAW has no Fermi level, but two, where the total moment is fixed.
        return None, None
    below, above = levels[levels <= fermi_eV], levels[levels > fermi_eV]
    return (
        float(below.max()) if len(below) else None,
        float(above.min()) if len(above) else None,
    )
