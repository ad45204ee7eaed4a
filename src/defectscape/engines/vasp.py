"""VASP: inputs from doped's sets, single points, answers checked against what was asked.

Source of the code: doi:10.1103/PhysRevB.54.11169. Spin follows the frame's multiplicity: singlets are
computed without spin polarisation, everything else with NUPDOWN. The energy is the free energy
(TOTEN), of which the forces are derivatives; charged cells carry no correction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from defectscape.domain.errors import EngineError, LabelError
from defectscape.domain.frame import NO_MOMENT, Floats, Frame, Ints
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, ScfAttempt, settings_of_species
from defectscape.engines.program import Finished, run_program, scratch_folder
from defectscape.engines.vasp_failures import failure
from defectscape.engines.vasp_input import (
    Potcar,
    doped_tags,
    find_potcars,
    relaxation_files,
    vasp_order,
    write_inputs,
)
from defectscape.engines.vasp_output import VaspRun, read_run, read_site_potentials
from defectscape.engines.vasp_theory import VaspTheory, theory_of_settings
from defectscape.settings.program import Scalar
from defectscape.settings.vasp import VaspSettings

ATTEMPTS = (
    ScfAttempt("configured", "doped's ALGO (Normal) and 100 cycles, or the ALGO and NELM of `incar`."),
    ScfAttempt("all bands", "ALGO All: conjugate gradients over all bands at once, 200 cycles."),
    ScfAttempt("damped", "ALGO Damped with TIME 0.4, 300 cycles."),
    ScfAttempt(
        "annealed",
        "SIGMA 0.2 eV first, then the configured one from those wave functions; ALGO All in both.",
    ),
)
ALL: dict[str, Scalar] = {"ALGO": "All", "NELM": 200}
STEPS: tuple[tuple[dict[str, Scalar], ...], ...] = (
    ({},),
    (ALL,),
    ({"ALGO": "Damped", "TIME": 0.4, "NELM": 300},),
    (ALL | {"SIGMA": 0.2, "LWAVE": True}, ALL | {"ISTART": 1}),
)

POSITION_TOLERANCE_A = 1e-4


class VaspEngine:
    """VASP with fixed settings.

    Args:
        settings: functional, cutoff, mesh, POTCARs, command.

    Raises:
        EngineError: as ``find_potcars``.
    """

    def __init__(self, settings: VaspSettings) -> None:
        self.settings = settings
        self.name = f"vasp/{settings.method}"
        self.version = "vasp, version unknown"
        self.attempts = ATTEMPTS
        self.files: dict[str, Potcar] = find_potcars(settings)

    @cached_property
    def theory(self) -> VaspTheory:
        """The level of theory of the labels."""
        titles = {element: file.title for element, file in self.files.items()}
        return theory_of_settings(self.settings, doped_tags(self.settings), titles)

    @property
    def settings_json(self) -> str:
        """The level of theory; how it is reached is no part of a label's key."""
        return self.theory.canonical

    def settings_of(self, numbers: Ints) -> str:
        """The level of theory with the POTCARs of these species alone."""
        return settings_of_species(self.settings_json, "potcars", numbers)

    def compute(self, frame: Frame, attempt: int) -> Label:
        """Energy (eV), forces (eV/A), stress (eV/A^3, ASE's sign), band edges (eV).

        Raises:
            CalculationFailed: if VASP does not converge, crashes, takes too long, or answers another
                question than it was asked.
            EngineError: if VASP or a POTCAR is not there.
        """
        with self._solved(frame, attempt) as (_, label):
            return label

    def compute_potentials(self, frame: Frame, attempt: int) -> tuple[Label, Floats]:
        """As ``compute``, with the electrostatic potential at each atom, (n,), V, from OUTCAR.

        Raises:
            CalculationFailed: as ``compute``, or if OUTCAR has no potentials.
            EngineError: as ``compute``.
        """
        with self._solved(frame, attempt) as (folder, label):
            potentials_V = read_site_potentials(folder / "OUTCAR", len(frame))
        return label, potentials_V[np.argsort(vasp_order(frame.numbers))]

    def relaxation_inputs(self, frame: Frame, fmax_eV_A: float) -> dict[str, str]:
        """Inputs of VASP that relax a frame down to ``fmax_eV_A``, by file name, without the POTCAR.

        Raises:
            EngineError: if a POTCAR is not there: its valence is needed.
        """
        electrons = self._valence(frame) - frame.charge
        tags: dict[str, Scalar] = {"NSW": 200, "IBRION": 2, "EDIFFG": -fmax_eV_A}
        return relaxation_files(frame, self.settings, self.files, electrons, tags)

    @contextmanager
    def _solved(self, frame: Frame, attempt: int) -> Iterator[tuple[Path, Label]]:
        """The folder of a finished calculation, for as long as the block lasts, and its label."""
        electrons = self._valence(frame) - frame.charge
        odd = frame.multiplicity != NO_MOMENT and (round(electrons) - frame.unpaired) % 2
        if electrons < 1 or odd:
            raise CalculationFailed(
                f"multiplicity {frame.multiplicity} is impossible with {electrons:g} valence electrons",
                hopeless=True,
            )
        with scratch_folder(self.settings.scratch) as folder:
            for tags in STEPS[attempt]:
                write_inputs(folder, frame, self.settings, self.files, electrons, tags)
                finished = self._run(folder)
            run = self._read(folder, finished)
            check_answer(run, frame, self.theory)
            self.version = run.version
            found = run.steps[-1].label
            back = np.argsort(vasp_order(frame.numbers))
            yield folder, replace(found, forces_eV_A=found.forces_eV_A[back])

    def _valence(self, frame: Frame) -> float:
        total = 0.0
        for number in frame.numbers.tolist():
            element = chemical_symbols[number]
            file = self.files.get(element)
            if file is None or file.valence is None:
                raise EngineError(
                    f"POTCAR of {element}",
                    "none" if file is None else f"no file {file.path}",
                    "Add it to engine.potcars and engine.potcar_dir; a new label needs it",
                )
            total += file.valence
        return total

    def _run(self, folder: Path) -> Finished:
        (folder / "vasprun.xml").unlink(missing_ok=True)
        finished = run_program(self.settings.command, [], folder, self.settings.time_limit_s)
        if finished.returncode != 0:
            raise failure(finished.output, finished.returncode)
        return finished

    @staticmethod
    def _read(folder: Path, finished: Finished) -> VaspRun:
        try:
            return read_run(folder / "vasprun.xml")
        except LabelError as error:
            told = failure(finished.output, finished.returncode)
            raise CalculationFailed(
                f"VASP left no usable vasprun.xml: {error.value}; {told}", hopeless=told.hopeless
            ) from error


def check_answer(run: VaspRun, frame: Frame, theory: VaspTheory) -> None:
    """Refuse an answer to another question than that of the frame at this level of theory.

    Raises:
        CalculationFailed: naming what differs.
    """
    if run.unreadable:
        raise CalculationFailed(f"VASP left no whole label: {run.unreadable[0][1]}")
    if not run.complete or len(run.steps) != 1:
        raise CalculationFailed(f"VASP wrote {len(run.steps)} ionic steps, {'whole' if run.complete else 'cut short'}")
    if not run.steps[-1].converged:
        raise CalculationFailed("SCF not converged in NELM cycles")
    differences = run.theory.differences(theory)
    if differences:
        raise CalculationFailed(f"wrong level of theory: {'; '.join(differences)}", hopeless=True)
    if abs(run.charge - frame.charge) > 1e-3:
        raise CalculationFailed(
            f"wrong charge: NELECT makes it {run.charge:+g} instead of {frame.charge:+d}",
            hopeless=True,
        )
    order = vasp_order(frame.numbers)
    if not np.array_equal(run.numbers, frame.numbers[order]):
        raise CalculationFailed("VASP answered for other atoms", hopeless=True)
    step = run.steps[-1]
    gaps = (step.positions_A - frame.positions_A[order]) @ np.linalg.inv(frame.cell_A)
    gaps = (gaps - np.rint(gaps)) @ frame.cell_A
    worst = max(float(np.max(np.abs(gaps))), float(np.max(np.abs(step.cell_A - frame.cell_A))))
    if worst > POSITION_TOLERANCE_A:
        raise CalculationFailed(f"VASP answered for another structure, {worst:.2g} A away", hopeless=True)
    if run.multiplicity != frame.unpaired + 1:
        raise CalculationFailed(f"VASP ended with multiplicity {run.multiplicity} instead of {frame.multiplicity}")
