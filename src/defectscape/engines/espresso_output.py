"""What pw.x has to say, from the XML file that it writes, checked against what it was asked.

The text output shows one total energy per outer step of a hybrid calculation, the first of them
without exact exchange; the XML holds the last one alone.
"""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.units import Bohr, Hartree

from defectscape.domain.frame import Floats, Frame
from defectscape.domain.label import Label
from defectscape.engines.band_edges import band_edges_eV
from defectscape.engines.base import CalculationFailed
from defectscape.settings.espresso import EspressoSettings

POSITION_TOLERANCE_A = 1e-4
"""pw.x and ASE have the bohr from different years, 2e-9 apart."""

NAMES = {"pbe": "PBE", "pbesol": "PBESOL", "hse06": "HSE"}
"""pw.x's names of the functionals."""

FINAL = re.compile(
    r"""error \s+ in \s+ routine \s+
        (?:readpp | readin | read_(?:namelists?|cards|pseudo\w*|upf\w*|ncpp) | card_\w+ | iosys | upf\w*
        | check_atoms | set_dft\w*) \b
    | reading \s+ (?:namelist | input)
    | wrong \s+ number \s+ of
    | pseudo\S* \s+ .* not \s+ found | \.(?:upf|gth|psml|rrkj3) \s+ not \s+ found
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Failures that lie in the input itself: a wrong keyword or card, a pseudopotential that is missing or broken.

Whatever else pw.x stops with goes on to the next attempt. A charge that is wrong, an S matrix that is not
positive definite, bands that do not converge come from a density or from wave functions that went astray, and so
from the mixing and the diagonalisation, however final they sound; an attempt too many costs little.
"""


@dataclass(frozen=True)
class PwResult:
    """A label and the version of the program that computed it."""

    label: Label
    version: str


def read_result(path: Path, frame: Frame, settings: EspressoSettings, valence: float) -> PwResult:
    """Read pw.x's XML and check that it answers the question.

    Args:
        path: ``<prefix>.xml``.
        frame: what was asked for.
        settings: with which settings.
        valence: valence electrons of the neutral cell.

    Raises:
        CalculationFailed: if there is no whole file, the SCF did not converge, or structure,
            charge, spin or functional are others than those asked for.
    """
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise CalculationFailed(f"pw.x left no readable XML ({error})") from error
    try:
        return _result(root, frame, settings, valence)
    except (AttributeError, ValueError, TypeError, IndexError) as error:
        raise CalculationFailed(f"pw.x's XML lacks something ({error})") from error


def failure_reason(output: str, returncode: int) -> str:
    """Why pw.x stopped, from what it printed last."""
    match = re.search(r"%{10,}\s*\n(.*?)%{10,}", output, re.DOTALL)
    if match:
        return " ".join(match.group(1).split())
    match = re.search(r"^.*NOT achieved after.*$", output, re.MULTILINE)
    if match:
        return " ".join(match.group(0).split())
    if returncode < 0:
        return f"pw.x crashed by signal {-returncode}"
    last = [line for line in output.splitlines() if line.strip()]
    return f"pw.x ended with status {returncode}: {' '.join(last[-1].split()) if last else 'no output'}"


def is_final(reason: str) -> bool:
    """Whether no other way of mixing or diagonalising can cure a failure of pw.x."""
    return FINAL.search(reason) is not None


def _result(root: ET.Element, frame: Frame, settings: EspressoSettings, valence: float) -> PwResult:
    output = _element(root, "output")
    _check_converged(output)
    _check_structure(output, frame)
    _check_functional(root, output, settings)
    bands = _element(output, "band_structure")
    electrons = float(_text(bands, "nelec"))
    charge = valence - electrons
    if abs(charge - frame.charge) > 1e-6:
        raise CalculationFailed(
            f"wrong charge: pw.x had {electrons:g} electrons, charge {charge:+g} instead of {frame.charge:+d}",
            hopeless=True,
        )
    vbm, cbm = _edges_eV(bands, electrons, frame.multiplicity)
    stress = output.find("stress")
    label = Label(
        float(_text(output, "total_energy/etot")) * Hartree,
        _numbers(_element(output, "forces")).reshape(len(frame), 3) * Hartree / Bohr,
        # pw.x's sign is that of a pressure, ASE's the opposite.
        None if stress is None else -_numbers(stress).reshape(3, 3) * Hartree / Bohr**3,
        vbm,
        cbm,
        _absolute_magnetisation(output, frame),
    )
    creator = _element(root, "general_info/creator")
    return PwResult(label, f"pw.x {creator.get('VERSION', 'unknown')}")


def _check_converged(output: ET.Element) -> None:
    scf = _element(output, "convergence_info/scf_conv")
    if _text(scf, "convergence_achieved").lower() != "true":
        raise CalculationFailed(f"SCF not converged in {_text(scf, 'n_scf_steps')} cycles")


def _check_structure(output: ET.Element, frame: Frame) -> None:
    structure = _element(output, "atomic_structure")
    cell_A = np.array([_numbers(_element(structure, f"cell/a{k}")) for k in (1, 2, 3)]) * Bohr
    atoms = structure.findall("atomic_positions/atom")
    positions_A = np.array([_numbers(atom) for atom in atoms]) * Bohr
    if positions_A.shape != frame.positions_A.shape:
        raise CalculationFailed(f"pw.x answered for {len(atoms)} atoms instead of {len(frame)}", hopeless=True)
    worst = max(
        float(np.max(np.abs(cell_A - frame.cell_A))),
        float(np.max(np.abs(positions_A - frame.positions_A))),
    )
    if worst > POSITION_TOLERANCE_A:
        raise CalculationFailed(f"pw.x answered for another structure, {worst:.2g} A away", hopeless=True)


def _check_functional(root: ET.Element, output: ET.Element, settings: EspressoSettings) -> None:
    dft = output.find("dft")
    if dft is None:
        dft = _element(root, "input/dft")
    name, wanted = _text(dft, "functional").strip().upper(), NAMES[settings.functional]
    found, asked = [name], [wanted]
    hybrid = dft.find("hybrid")
    if settings.functional == "hse06" and hybrid is not None:
        found += [f"{float(_text(hybrid, key)):.4f}" for key in ("exx_fraction", "screening_parameter")]
        asked += [f"{settings.exx_fraction:.4f}", f"{settings.screening_1_bohr:.4f}"]
    if found != asked:
        raise CalculationFailed(
            f"wrong functional: pw.x used {' '.join(found)} instead of {' '.join(asked)}",
            hopeless=True,
        )


def _edges_eV(bands: ET.Element, electrons: float, multiplicity: int) -> tuple[float | None, float | None]:
    """Highest filled and lowest empty level, eV."""
    points = [_numbers(_element(point, "eigenvalues")) * Hartree for point in bands.findall("ks_energies")]
    if _text(bands, "lsda").lower() == "true":
        halves = [np.split(levels, 2) for levels in points]
        channels = [[up for up, _ in halves], [down for _, down in halves]]
    else:
        channels = [points]
    return band_edges_eV(channels, round(electrons), multiplicity)


def _absolute_magnetisation(output: ET.Element, frame: Frame) -> float | None:
    """Integral of |spin density|, Bohr magnetons; zero by construction without spin polarisation."""
    if not frame.unpaired:
        return 0.0
    element = output.find("magnetization/absolute")
    return None if element is None else float(element.text or "nan")


def _element(parent: ET.Element, path: str) -> ET.Element:
    found = parent.find(path)
    if found is None:
        raise AttributeError(path)
    return found


def _text(parent: ET.Element, path: str) -> str:
    return (_element(parent, path).text or "").strip()


def _numbers(element: ET.Element) -> Floats:
    return np.array((element.text or "").split(), dtype=np.float64)
