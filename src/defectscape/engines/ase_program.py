"""An ASE calculator that answers questions: needs numpy and ASE, and nothing else of this package.

The engine imports it, or it is run by its path in another Python, which may be 3.9 and have older versions of
everything: ``python -I ase_program.py CLASS FD``. Questions and answers are plain data, so neither side must
understand the other's objects; as JSON a number stays the same to the bit.

A question has ``name`` (the engine's), ``arguments`` (of the class), ``numbers``, ``positions_A``, ``cell_A``,
``info`` (of the atoms), ``unpaired`` (electrons, to be set as initial moments; None if not) and ``stress`` (whether
it is wanted). An answer has ``kind``: ``label``, ``failed`` (this calculation) or ``refused`` (all of them).
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import CalculatorError

MAKERS = ("gpaw.GPAW",)
"""Functions that return a calculator; no other function that a study names is called."""

MOMENT_TOLERANCE = 0.1
"""Unpaired electrons that a smeared SCF may be away from the whole number that was asked for."""

MOVED_A = 1e-6
"""A calculator whose atoms are farther than this from those of the question answers another one, A."""

Answer = dict[str, Any]


class Refused(Exception):
    """The calculator cannot be used at all.

    Args:
        thing, value, remedy: as of every error of this package.
    """

    def __init__(self, thing: str, value: object, remedy: str) -> None:
        self.words = (thing, str(value), remedy)
        super().__init__(*self.words)


class Failed(Exception):
    """One calculation gave no label.

    Args:
        reason: why.
        hopeless: whether no other attempt can help.
    """

    def __init__(self, reason: str, *, hopeless: bool = False) -> None:
        self.hopeless = hopeless
        super().__init__(reason)


def find_calculator(path: str) -> Callable[..., Any]:
    """The class (or one of ``MAKERS``) at ``module.Class``, once it is known to be an ASE calculator.

    Raises:
        Refused: if it cannot be imported, or is none.
    """
    module, _, name = path.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise Refused(f"ASE calculator {path}", error, "Install its package, or correct engine.calculator") from error
    is_class = inspect.isclass(found) and issubclass(found, GetPropertiesMixin)
    if not is_class and path not in MAKERS:
        raise Refused(f"ASE calculator {path}", "is no ASE calculator class", "Give the class itself, with its module")
    return found


def package_version(path: str) -> str:
    """Name and version of the package that the class comes from."""
    top = path.partition(".")[0]
    # Python 3.9 cannot tell: most packages are called as what they install.
    distributions: dict[str, list[str]] = getattr(metadata, "packages_distributions", dict)()
    for distribution in distributions.get(top, [top]):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return f"{distribution} {metadata.version(distribution)}"
    return f"{top}, version unknown"


def answer(make: Callable[..., Any], question: dict[str, Any]) -> Answer:
    """The label that a new calculator gives, or why there is none.

    Args:
        make: the calculator's class.
        question: as above.

    Returns:
        ``energy_eV``, ``forces_eV_A``, ``stress_eV_A3`` and ``edges_eV`` (the last two may be None), or the
        ``reason`` and whether it is ``hopeless``, or the ``words`` of an error.
    """
    try:
        return {"kind": "label", **_label(make, question)}
    except Failed as error:
        return {"kind": "failed", "reason": str(error), "hopeless": error.hopeless}
    except Refused as error:
        return {"kind": "refused", "words": list(error.words)}


def _label(make: Callable[..., Any], question: dict[str, Any]) -> Answer:
    atoms = Atoms(
        numbers=question["numbers"],
        positions=question["positions_A"],
        cell=question["cell_A"],
        pbc=True,
        info=question["info"],
    )
    unpaired = question["unpaired"]
    if unpaired is not None:
        atoms.set_initial_magnetic_moments(np.full(len(atoms), unpaired / len(atoms)))
    try:
        atoms.calc = make(**question["arguments"])
    except Exception as error:
        # Nothing has been computed, so whatever it raises is no property of the structure.
        words = f"{type(error).__name__}: {error}"
        remedy = "Correct engine.arguments, charge and multiplicity"
        raise Refused(f"engine {question['name']}", words, remedy) from error
    with _closed_after(atoms.calc):
        return _computed(atoms, question)


@contextlib.contextmanager
def _closed_after(calculator: Any) -> Iterator[None]:
    """Ends the program behind a calculator, and with it the last of its output."""
    try:
        yield
    finally:
        close = getattr(calculator, "close", None)
        if callable(close):
            close()


def _computed(atoms: Atoms, question: dict[str, Any]) -> Answer:
    consistent = "free_energy" in getattr(atoms.calc, "implemented_properties", ())
    try:
        energy_eV = float(atoms.get_potential_energy(force_consistent=consistent))
        forces = np.array(atoms.get_forces(), dtype=float)
        stress = np.array(atoms.get_stress(voigt=False), dtype=float) if question["stress"] else None
    except Exception as error:
        # Programs have exceptions of their own (GPAW's are no ASE error): all mean that there is no number.
        raise Failed(f"{type(error).__name__}: {error}".rstrip(": ")) from error
    positions_A = np.asarray(question["positions_A"])
    same = len(atoms.calc.atoms) == len(positions_A)
    if not same or np.max(np.abs(atoms.calc.atoms.positions - positions_A), initial=0.0) > MOVED_A:
        raise Failed("the calculator answered for another structure", hopeless=True)
    if question["unpaired"] is not None:
        _refuse_other_spin(atoms, question["unpaired"])
    return {
        "energy_eV": energy_eV,
        "forces_eV_A": forces.tolist(),
        "stress_eV_A3": None if stress is None else stress.tolist(),
        "edges_eV": _edges_eV(atoms.calc),
    }


def _refuse_other_spin(atoms: Atoms, unpaired: int) -> None:
    """Moments are where an SCF starts; without a constraint it may end in another spin state."""
    try:
        moment = float(atoms.get_magnetic_moment())
    except NotImplementedError as error:
        raise Refused(
            f"engine {type(atoms.calc).__name__}",
            "does not tell its total magnetic moment",
            "Whether its spin is the one asked for is unknown: give engine.multiplicity otherwise than magmoms",
        ) from error
    if abs(moment - unpaired) > MOMENT_TOLERANCE:
        raise Failed(
            f"it ended with {moment:.2f} unpaired electrons instead of {unpaired}: "
            "fix the total moment in engine.arguments"
        )


def _edges_eV(calculator: Any) -> list[float | None]:
    """Highest level below and lowest above the Fermi level, eV, where the calculator tells."""
    names = ("get_eigenvalues", "get_fermi_level", "get_number_of_spins", "get_ibz_k_points")
    if not all(callable(getattr(calculator, name, None)) for name in names):
        return [None, None]
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
        return [None, None]
    below, above = levels[levels <= fermi_eV], levels[levels > fermi_eV]
    return [float(below.max()) if len(below) else None, float(above.min()) if len(above) else None]


def serve(connection: Connection, path: str) -> None:
    """Say that the calculator is there, then answer until the other side is gone."""

    def send(content: object) -> None:
        connection.send_bytes(json.dumps(content).encode())

    try:
        make = find_calculator(path)
    except Refused as error:
        send({"kind": "refused", "words": list(error.words)})
        return
    send({"kind": "ready", "version": package_version(path)})
    while True:
        try:
            question = json.loads(connection.recv_bytes())
        except EOFError:
            return
        told = answer(make, question)
        times = os.times()
        send([told, times.user + times.system + times.children_user + times.children_system])


if __name__ == "__main__":
    # A keyboard interrupt is for the labelling job, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Connection(int(sys.argv[2])), sys.argv[1])
