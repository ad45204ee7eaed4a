"""VASP's input files for one frame, from doped's input sets."""

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame, Ints
from defectscape.files.quiet import quiet
from defectscape.files.structures import to_structure
from defectscape.settings.program import Scalar
from defectscape.settings.vasp import VaspSettings

_TITLE = re.compile(r"TITEL\s*=\s*(.+?)\s*$", re.MULTILINE)
_VALENCE = re.compile(r"ZVAL\s*=\s*([0-9.]+)")

CYCLES = 100
"""SCF cycles where the user's tags say nothing."""

NO_LABEL = ("LVHAR", "ICORELEVEL", "LORBIT", "NEDOS", "EDIFFG", "ISEARCH", "ICHARG", "NCORE")
"""Tags of doped's sets that serve relaxations, analysis or one kind of machine, not a label."""


@dataclass(frozen=True)
class Potcar:
    """One element's POTCAR.

    Attributes:
        element: chemical symbol.
        path: the file.
        title: its TITEL.
        valence: number of valence electrons, or None where the file is absent.
    """

    element: str
    path: Path
    title: str
    valence: float | None


def find_potcars(settings: VaspSettings) -> dict[str, Potcar]:
    """The POTCAR of each element.

    Raises:
        EngineError: if one is absent without a title in the settings, or is another one.
    """
    found = {}
    for element, name in settings.potcars.items():
        folder = settings.potcar_dir / name
        path = next((p for p in (folder / "POTCAR", folder / "POTCAR.gz") if p.is_file()), None)
        expected = settings.potcar_titles.get(element)
        if path is None:
            if expected is None:
                raise EngineError(
                    f"POTCAR of {element}",
                    f"none in {folder}",
                    "Correct engine.potcar_dir and potcars, or give its TITEL in potcar_titles",
                )
            found[element] = Potcar(element, folder / "POTCAR", expected, None)
            continue
        text = read_potcar(path)
        title, valence = _TITLE.search(text), _VALENCE.search(text)
        if title is None or valence is None:
            raise EngineError(f"POTCAR {path}", "has no TITEL or ZVAL", "Give a whole POTCAR")
        if expected not in (None, title.group(1)):
            raise EngineError(
                f"POTCAR {path}",
                f"is {title.group(1)}, the study says {expected}",
                "Give the one that the study was made with, or correct potcar_titles",
            )
        found[element] = Potcar(element, path, title.group(1), float(valence.group(1)))
    return found


def read_potcar(path: Path) -> str:
    """The text of a POTCAR, compressed or not."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode("latin-1")
    return path.read_text(encoding="latin-1")


def vasp_order(numbers: Ints) -> Ints:
    """Indices (n,) that group the atoms by element, in order of first appearance.

    VASP wants one block of atoms for each POTCAR.
    """
    first = {number: rank for rank, number in enumerate(dict.fromkeys(numbers.tolist()))}
    ranks = np.array([first[number] for number in numbers.tolist()])
    return np.argsort(ranks, kind="stable")


def write_inputs(
    folder: Path,
    frame: Frame,
    settings: VaspSettings,
    files: Mapping[str, Potcar],
    electrons: float,
    tags: Mapping[str, Scalar],
) -> None:
    """Write INCAR, POSCAR, KPOINTS and POTCAR of a single point.

    Args:
        folder: where to.
        frame: the structure; atoms are written grouped by element (``vasp_order``).
        settings: the engine's settings.
        files: POTCARs by element, all present.
        electrons: valence electrons of the charged cell (NELECT).
        tags: INCAR tags of the attempt.
    """
    for name, text in _texts(frame, settings, electrons, tags).items():
        (folder / name).write_text(text, encoding="utf-8")
    potcar = "".join(read_potcar(files[element].path) for element in _elements(frame))
    (folder / "POTCAR").write_text(potcar, encoding="latin-1")


def relaxation_files(
    frame: Frame,
    settings: VaspSettings,
    files: Mapping[str, Potcar],
    electrons: float,
    tags: Mapping[str, Scalar],
) -> dict[str, str]:
    """INCAR, POSCAR and KPOINTS of a relaxation, and the titles of the POTCARs, which are licensed.

    Args:
        frame, settings, files, electrons: as for ``write_inputs``.
        tags: INCAR tags of the relaxation.
    """
    titles = "".join(f"{files[element].title}\n" for element in _elements(frame))
    return {**_texts(frame, settings, electrons, tags), "POTCAR.titles": titles}


def _elements(frame: Frame) -> list[str]:
    """Elements in the order of the blocks of atoms."""
    numbers = frame.numbers[vasp_order(frame.numbers)]
    return [chemical_symbols[number] for number in dict.fromkeys(numbers.tolist())]


def _texts(frame: Frame, settings: VaspSettings, electrons: float, tags: Mapping[str, Scalar]) -> dict[str, str]:
    """INCAR, POSCAR and KPOINTS."""
    order = vasp_order(frame.numbers)
    incar = Incar(vasp_incar(frame, settings, electrons) | dict(tags))
    with quiet("POSCAR"):
        structure = to_structure(frame.numbers[order], frame.positions_A[order], frame.cell_A)
        poscar = Poscar(structure, comment=f"{frame.key} {frame.frame_id}", sort_structure=False)
        text = poscar.get_str(direct=True, significant_figures=16)
    a, b, c = settings.kpoints
    kpoints = f"{Kpoints.gamma_automatic((a, b, c))}\n"
    return {"INCAR": f"{incar}\n", "POSCAR": text, "KPOINTS": kpoints}


def vasp_incar(frame: Frame, settings: VaspSettings, electrons: float) -> dict[str, Any]:
    """INCAR tags of a label: doped's sets, made a single point, with what is ours and the user's."""
    unpaired = frame.unpaired
    tags = doped_tags(settings)
    tags |= {
        "NELECT": electrons,
        "NSW": 0,
        "IBRION": -1,
        "ISIF": 2,
        "ISYM": 0,
        "ENCUT": settings.cutoff_eV,
        "EDIFF": settings.convergence_eV,
        "ISMEAR": 0,
        "SIGMA": settings.smearing_eV,
        "ISPIN": 2 if unpaired else 1,
        "LWAVE": False,
        "LCHARG": False,
    }
    if unpaired:
        tags["NUPDOWN"] = unpaired
    return tags


def doped_tags(settings: VaspSettings) -> dict[str, Any]:
    """doped's tags for this functional that bear on a label, under the user's own."""
    with quiet("doped's input sets"):
        from doped.vasp import default_defect_relax_set, default_HSE_set

        tags = dict(default_defect_relax_set["INCAR"])
        if settings.functional == "hse06":
            tags |= default_HSE_set["INCAR"]
    # doped writes advice behind some values, and whole lines of it as tags.
    tags = {name: _bare(value) for name, value in tags.items() if name.isupper() and name.isalnum()}
    for name in NO_LABEL:
        tags.pop(name, None)
    tags["NELM"] = CYCLES
    tags["GGA"] = "PS" if settings.functional == "pbesol" else "PE"
    if settings.functional == "hse06":
        tags |= {"AEXX": settings.exx_fraction, "HFSCREEN": settings.screening_1_A}
    return tags | {name.upper(): value for name, value in settings.incar.items()}


def _bare(value: Any) -> Any:
    return value.partition("#")[0].strip() if isinstance(value, str) else value
