"""What a vasprun.xml holds: its level of theory, its charge, and every ionic step as a label.

Energies are VASP's free energy (``e_fr_energy``, TOTEN): forces and stress are its derivatives. The
``e_0_energy`` of an ionic step is no energy at all in many versions.
"""

import re
import zlib
from collections import Counter
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
from pymatgen.electronic_structure.core import Spin
from pymatgen.io.vasp.outputs import Vasprun

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Floats, Ints
from defectscape.domain.label import Label
from defectscape.engines.band_edges import band_edges_eV
from defectscape.engines.base import CalculationFailed
from defectscape.engines.vasp_failures import without_glued_numbers, without_stars
from defectscape.engines.vasp_tags import RunTags, tags_of_head
from defectscape.engines.vasp_theory import VaspTheory, theory_of_run
from defectscape.files.quiet import quiet
from defectscape.files.structures import atomic_numbers
from defectscape.files.text import unpacked

DEFAULT_CYCLES = 60
"""NELM where the INCAR says nothing; the parameters of a run that was stopped may hold 1."""

KBAR_PER_EV_A3 = 1602.1766208

HEAD_BYTES = 2000
UNPACK = "Give a vasprun.xml, as it is or packed by gzip, bzip2 or xz"

PARSE_FAILURES = (
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
    LZMAError,
)
"""What pymatgen, lxml and gzip raise on a file they cannot make sense of."""


@dataclass(frozen=True, eq=False)
class IonicStep:
    """One ionic step.

    Attributes:
        number: its place in the run, from 1.
        positions_A: shape (n, 3), A, in the file's order of atoms.
        cell_A: shape (3, 3), A.
        label: energy, forces, stress; band edges of the last step alone.
        converged: whether its SCF ended before NELM.
    """

    number: int
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
        moment: total moment of the last step from the occupations, Bohr magnetons, as it is; None where
            the file has none.
        tags: what the run was told.
        steps: the whole ionic steps.
        unreadable: number of each ionic step that has no label, and why.
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
    moment: float | None
    tags: RunTags
    steps: tuple[IonicStep, ...]
    unreadable: tuple[tuple[int, str], ...]
    complete: bool
    relaxed: bool


def read_run(path: Path) -> VaspRun:
    """Read a vasprun.xml, compressed or not, also that of a run that was killed.

    Raises:
        LabelError: if it is none, or holds no whole ionic step.
    """
    content = b""
    try:
        content = unpacked(path.read_bytes())
        fault = file_fault(content, whole=False)
        if fault:
            raise LabelError(f"VASP run {path}", fault, UNPACK)
        run, complete = parse_run(path, content)
        return _run(path, run, complete, head_of(content))
    except PARSE_FAILURES as error:
        reason = f"{type(error).__name__}: {error}"
        cut = content and file_fault(content)
        raise LabelError(
            f"VASP run {path}",
            f"{cut}, and has no whole ionic step" if cut else f"cannot be read ({reason})",
            "Give a vasprun.xml, or take it out",
        ) from error


def parse_run(path: Path, content: bytes, *, states: bool = False) -> tuple[Vasprun, bool]:
    """The run, and whether its file is whole.

    Args:
        path: the file, for the log.
        content: what it holds, unpacked.
        states: whether its density of states is wanted, too.

    Raises:
        PARSE_FAILURES: if pymatgen can make nothing of it.
    """
    options = {"parse_dos": states, "parse_eigen": True, "parse_potcar_file": False}
    with quiet(f"reading {path}"), TemporaryDirectory() as folder:
        # pymatgen unpacks by the name's ending, and people have many endings.
        plain = Path(folder) / "vasprun.xml"
        plain.write_bytes(without_stars(content))
        try:
            return _read_plain(plain, options)
        except ValueError:
            # Numbers that ran into each other cost their own step, as stars do.
            plain.write_bytes(without_glued_numbers(plain.read_bytes()))
            return _read_plain(plain, options)


def _read_plain(plain: Path, options: dict[str, bool]) -> tuple[Vasprun, bool]:
    try:
        return Vasprun(plain, **options), True
    except (SyntaxError, ParseError):
        return Vasprun(plain, exception_on_bad_xml=False, **options), False


def file_fault(content: bytes, *, whole: bool = True) -> str:
    """Why a file is no vasprun.xml, or nothing.

    Args:
        content: what it holds, unpacked.
        whole: whether it must not be cut short.
    """
    if b"<modeling" not in content[:HEAD_BYTES]:
        return "is empty, or no vasprun.xml"
    if whole and b"</modeling>" not in content[-HEAD_BYTES:]:
        return "is cut short"
    return ""


def head_of(content: bytes) -> str:
    """The file's text up to the table of POTCARs."""
    return content.partition(b"</atominfo>")[0].decode("latin-1")


def _run(path: Path, run: Vasprun, complete: bool, head: str) -> VaspRun:
    blocks = run.ionic_steps if complete else [step for step in run.ionic_steps if _is_whole(step)]
    first = next((step["structure"] for step in blocks if step.get("structure") is not None), None)
    if first is None:
        raise ValueError("no whole ionic step")
    numbers = atomic_numbers(first)
    # atominfo lists the valence of each POTCAR block; NELECT is what was put in.
    valence = valence_electrons(head, Counter(numbers.tolist()))
    electrons = float(run.parameters["NELECT"])
    multiplicity, moment = spin_of(run)
    edges: tuple[float | None, float | None] = (None, None)
    if run.eigenvalues and multiplicity is not None:
        edges = band_edges_eV(eigenvalue_channels(run), round(electrons), multiplicity)
    limit = int(run.incar.get("NELM", DEFAULT_CYCLES))
    found: list[IonicStep] = []
    unreadable: list[tuple[int, str]] = []
    for number, step in enumerate(blocks, 1):
        last = complete and number == len(blocks)
        try:
            found.append(_step(number, step, edges if last else (None, None), limit))
        except (LabelError, KeyError, ValueError, TypeError) as error:
            missing = isinstance(error, KeyError)
            unreadable.append((number, f"{error.args[0]} missing" if missing else _short_reason(error)))
    return VaspRun(
        path=path,
        version=f"vasp {run.vasp_version}",
        theory=theory_of_run(run),
        convergence_eV=float(run.parameters["EDIFF"]),
        numbers=numbers,
        charge=valence - electrons,
        multiplicity=multiplicity,
        moment=moment,
        tags=tags_of_head(head),
        steps=tuple(found),
        unreadable=tuple(unreadable),
        complete=complete,
        relaxed=bool(complete and run.converged_ionic),
    )


def _is_whole(step: dict[str, Any]) -> bool:
    return "forces" in step and step.get("structure") is not None


def _step(number: int, step: dict[str, Any], edges: tuple[float | None, float | None], limit: int) -> IonicStep:
    """One ionic step; a number that VASP could not print fails it alone."""
    stress = step.get("stress")
    structure = step["structure"]
    if structure is None:
        raise KeyError("structure")
    positions_A, cell_A = np.array(structure.cart_coords), np.array(structure.lattice.matrix)
    label = Label(
        float(step["e_fr_energy"]),
        np.array(step["forces"], dtype=float),
        # VASP prints the negative of ASE's stress, in kbar.
        None if stress is None else -np.array(stress, dtype=float) / KBAR_PER_EV_A3,
        *edges,
    )
    if label.forces_eV_A.shape != positions_A.shape:
        raise ValueError(f"forces of {len(label.forces_eV_A)} atoms, not {len(positions_A)}")
    if not (np.isfinite(positions_A).all() and np.isfinite(cell_A).all()):
        raise ValueError("positions or cell overflowed")
    return IonicStep(number, positions_A, cell_A, label, len(step["electronic_steps"]) < limit)


def _short_reason(error: Exception) -> str:
    if isinstance(error, LabelError):
        return f"{error.thing}: {error.value}"
    return str(error)


def valence_electrons(head: str, counts: Counter[int]) -> float:
    """Valence electrons of the neutral cell, from the POTCAR table of the file's head."""
    block = head[head.index('name="atomtypes"') :]
    rows = re.findall(r"<rc><c>\s*(\d+)\s*</c><c>\s*(\w+)\s*</c><c>\s*[0-9.]+\s*</c><c>\s*([0-9.]+)\s*</c>", block)
    if sum(int(row[0]) for row in rows) != sum(counts.values()):
        raise ValueError("the table of POTCARs does not add up to the atoms")
    return sum(int(count) * float(valence) for count, _, valence in rows)


def eigenvalue_channels(run: Vasprun) -> list[list[Floats]]:
    """Eigenvalues by spin and k-point, eV."""
    eigenvalues = run.eigenvalues or {}
    return [
        [np.array(point)[:, 0] for point in eigenvalues[spin]] for spin in (Spin.up, Spin.down) if spin in eigenvalues
    ]


def spin_of(run: Vasprun) -> tuple[int | None, float | None]:
    """2S + 1 and the total moment of the last step, from the occupations of both spins, else as it was fixed."""
    if int(run.parameters.get("ISPIN", 1)) == 1:
        return 1, 0.0
    eigenvalues = run.eigenvalues
    if not eigenvalues or Spin.down not in eigenvalues:
        fixed = round(float(run.parameters.get("NUPDOWN", -1)))
        return (1 + fixed, float(fixed)) if fixed >= 0 else (None, None)
    weights = np.array(run.actual_kpoints_weights)
    count = {
        spin: float(np.sum([w * np.sum(np.array(p)[:, 1]) for w, p in zip(weights, points, strict=True)]))
        for spin, points in eigenvalues.items()
    }
    moment = count[Spin.up] - count[Spin.down]
    if not np.isfinite(moment):
        return None, None
    return 1 + abs(round(moment)), moment


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
