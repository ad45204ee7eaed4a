"""ASE calculators with habits, for the tests of the engine that takes any."""

import os
import signal
import subprocess
import time

from ase.calculators.calculator import CalculationFailed, Calculator, all_changes


class Habits(Calculator):
    """Energy -q in eV from ``atoms.info``; may sleep, work, fail, crash, move an atom, or start a program."""

    implemented_properties = ("energy", "forces")

    def __init__(
        self,
        sleep_s=0.0,
        failures=0,
        moves=False,
        level=0,
        busy_s=0.0,
        segmentation_fault=False,
        exits=False,
        program=None,
    ):
        super().__init__()
        self.busy_s, self.segmentation_fault, self.exits = busy_s, segmentation_fault, exits
        self.program = None if program is None else subprocess.Popen(program)
        self.sleep_s, self.failures, self.moves, self.level = sleep_s, failures, moves, level

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        time.sleep(self.sleep_s)
        until = time.process_time() + self.busy_s
        while time.process_time() < until:
            pass
        if self.segmentation_fault:
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.exits:
            os._exit(7)
        if self.level < self.failures:
            raise CalculationFailed(f"no luck at level {self.level}")
        if self.moves:
            self.atoms.positions[0] += 0.1
        self.results = {"energy": -float(atoms.info["q"]), "forces": 0.0 * atoms.positions}


class Spins(Calculator):
    """Energy 2S in eV from the initial magnetic moments; ends with ``drift`` more unpaired electrons."""

    implemented_properties = ("energy", "forces", "magmom")

    def __init__(self, drift=0.0, error=None):
        super().__init__()
        self.drift, self.error = drift, error

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.error:
            raise Unfinished(self.error)
        unpaired = float(atoms.get_initial_magnetic_moments().sum())
        self.results = {
            "energy": unpaired,
            "forces": 0.0 * atoms.positions,
            "magmom": unpaired + self.drift,
        }


class Unfinished(Exception):
    """Not one of ASE's own errors."""


def spins(**arguments):
    """A function that makes a calculator."""
    return Spins(**{k: v for k, v in arguments.items() if k != "charge"})
