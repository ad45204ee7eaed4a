"""What a vasprun.xml holds: its level of theory, its charge, and every ionic step as a label.

Energies are VASP's free energy (``e_fr_energy``, TOTEN): forces and stress are its derivatives. The
``e_0_energy`` of an ionic step is no energy at all in many versions.
"""

import gzip
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import ParseError

import numpy as np
from pymatgen.electronic_structure.core import Spin
from pymatgen.io.vasp.outputs import Vasprun

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Floats, Ints
from defectscape.domain.label import Label
from defectscape.engines.band_edges import band_edges_eV
from defectscape.engines.base import CalculationFailed
from defectscape.engines.vasp_theory import VaspTheory, theory_of_run
from defectscape.files.quiet import quiet
from defectscape.files.structures import atomic_numbers

DEFAULT_CYCLES = 60
"""NELM where the INCAR says nothing; the parameters of a run that was stopped may hold 1."""

KBAR_PER_EV_A3 = 1602.1766208

_PARSE_FAILURES = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    StopIteration,
    ParseError,
    SyntaxError,
    EOFError,
    zlib.error,
)
"""What pymatgen, lxml and gzip raise on a file they cannot make sense of."""


@dataclass(frozen=True, eq=False)
class IonicStep:
    """One ionic step.

    Attributes:
        positions_A: shape (n, 3), A, in the file's order of atoms.
        cell_A: shape (3, 3), A.
        label: energy, forces, stress; band edges of the last step alone.
        converged: whether its SCF ended before NELM.
    """

    positions_A: Floats
    cell_A: Floats
    label: Label
    converged: bool


@dataclass(frozen=True, eq=False)
class VaspRun:
    """One VASP run.

    Attributes:
        path: the file.
        version: VASP's version.
        theory: its level of theory.
        convergence_eV: EDIFF.
        numbers: atomic numbers (n,), in the file's order.
        charge: valence electrons of the neutral cell less NELECT, units of e.
        multiplicity: 2S + 1 from the occupations of the last step, else from NUPDOWN; None where a
            run without either was cut short.
        steps: the whole ionic steps.
        complete: whether the file is whole; a killed run has lost its last step.
        relaxed: whether the relaxation says that it converged.
    """

    path: Path
    version: str
    theory: VaspTheory
    convergence_eV: float
    numbers: Ints
    charge: float
    multiplicity: int | None
    steps: tuple[IonicStep, ...]
    complete: bool
    relaxed: bool


def read_run(path: Path) -> VaspRun:
    """Read a vasprun.xml, compressed or not, also that of a run that was killed.

    Raises:
        LabelError: if it is none, or holds no whole ionic step.
    """
    try:
        run, complete = _parse(path)
        return _run(path, run, complete)
    except _PARSE_FAILURES as error:
        raise LabelError(
            f"VASP run {path}",
            f"cannot be read ({type(error).__name__}: {error})",
            "Give a vasprun.xml, or take it out",
        ) from error


def _parse(path: Path) -> tuple[Vasprun, bool]:
    """The run, and whether its file is whole."""
    options = {"parse_dos": False, "parse_eigen": True, "parse_potcar_file": False}
    with quiet(f"reading {path}"):
        try:
            return Vasprun(path, **options), True
        except (SyntaxError, ParseError):
            return Vasprun(path, exception_on_bad_xml=False, **options), False


def _run(path: Path, run: Vasprun, complete: bool) -> VaspRun:
    steps = [step for step in run.ionic_steps if "forces" in step and "structure" in step]
    if not steps:
        raise ValueError("no whole ionic step")
    structure = steps[0]["structure"]
    numbers = atomic_numbers(structure)
    counts = Counter(numbers.tolist())
    # atominfo lists the valence of each POTCAR block; NELECT is what was put in.
    valence = _valence(run, path, counts)
    parameters = run.parameters
    multiplicity = _multiplicity(run)
    electrons = float(parameters["NELECT"])
    edges: tuple[float | None, float | None] = (None, None)
    if run.eigenvalues and multiplicity is not None:
        edges = band_edges_eV(_channels(run), round(electrons), multiplicity)
    limit = int(run.incar.get("NELM", DEFAULT_CYCLES))
    found = []
    for index, step in enumerate(steps):
        last = complete and index == len(steps) - 1
        stress = step.get("stress")
        label = Label(
            float(step["e_fr_energy"]),
            np.array(step["forces"]),
            # VASP prints the negative of ASE's stress, in kbar.
            None if stress is None else -np.array(stress) / KBAR_PER_EV_A3,
            *(edges if last else (None, None)),
        )
        cell_A = np.array(step["structure"].lattice.matrix)
        positions_A = np.array(step["structure"].cart_coords)
        converged = len(step["electronic_steps"]) < limit
        found.append(IonicStep(positions_A, cell_A, label, converged))
    return VaspRun(
        path=path,
        version=f"vasp {run.vasp_version}",
        theory=theory_of_run(run),
        convergence_eV=float(parameters["EDIFF"]),
        numbers=numbers,
        charge=valence - electrons,
        multiplicity=multiplicity,
        steps=tuple(found),
        complete=complete,
        relaxed=bool(complete and run.converged_ionic),
    )


def _valence(run: Vasprun, path: Path, counts: Counter[int]) -> float:
    """Valence electrons of the neutral cell, from the POTCAR table of the file's head."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="latin-1") as file:
        head = ""
        for line in file:
            head += line
            if "</atominfo>" in line:
                break
    block = head[head.index('name="atomtypes"') :]
    rows = re.findall(r"<rc><c>\s*(\d+)\s*</c><c>\s*(\w+)\s*</c><c>\s*[0-9.]+\s*</c><c>\s*([0-9.]+)\s*</c>", block)
    if sum(int(row[0]) for row in rows) != sum(counts.values()):
        raise ValueError("the table of POTCARs does not add up to the atoms")
    return sum(int(count) * float(valence) for count, _, valence in rows)


def _channels(run: Vasprun) -> list[list[Floats]]:
    """Eigenvalues by spin and k-point, eV."""
    eigenvalues = run.eigenvalues or {}
    return [
        [np.array(point)[:, 0] for point in eigenvalues[spin]] for spin in (Spin.up, Spin.down) if spin in eigenvalues
    ]


def _multiplicity(run: Vasprun) -> int | None:
    """2S + 1 of the last step, from the occupations of both spins, else as it was fixed."""
    if int(run.parameters.get("ISPIN", 1)) == 1:
        return 1
    eigenvalues = run.eigenvalues
    if not eigenvalues or Spin.down not in eigenvalues:
        fixed = round(float(run.parameters.get("NUPDOWN", -1)))
        return 1 + fixed if fixed >= 0 else None
    weights = np.array(run.actual_kpoints_weights)
    count = {
        spin: float(np.sum([w * np.sum(np.array(p)[:, 1]) for w, p in zip(weights, points, strict=True)]))
        for spin, points in eigenvalues.items()
    }
    return 1 + abs(round(count[Spin.up] - count[Spin.down]))


def read_site_potentials(path: Path, atoms: int) -> Floats:
    """Electrostatic potential at each atom as a positive charge feels it, (atoms,), V, in VASP's order.

    The last ionic step's "average (electrostatic) potential at core", with the sign turned: VASP writes
    the energy of an electron there.

    Raises:
        CalculationFailed: if OUTCAR has none, or of other atoms.
    """
    with quiet(f"reading {path}"):
        from doped.utils.parsing import get_core_potentials_from_outcar

        try:
            potentials_V = np.asarray(get_core_potentials_from_outcar(path))
        except (OSError, ValueError) as error:
            raise CalculationFailed("VASP left no OUTCAR with potentials at its atoms") from error
    if len(potentials_V) != atoms:
        raise CalculationFailed(f"OUTCAR has potentials of {len(potentials_V)} atoms, not {atoms}")
    return potentials_V
