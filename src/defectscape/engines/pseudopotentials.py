"""Pseudopotential files: where they are, what they are, how many valence electrons they have."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from ase.data import chemical_symbols

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Ints
from defectscape.settings.espresso import EspressoSettings

_UPF_VALENCE = re.compile(r'z_valence\s*=\s*"\s*([0-9.+-EeDd]+)\s*"')
_UPF_OLD_VALENCE = re.compile(r"^\s*([0-9.+-EeDd]+)\s+Z valence", re.MULTILINE)


@dataclass(frozen=True)
class Pseudopotential:
    """One element's file.

    Attributes:
        element: chemical symbol.
        path: the file.
        sha256: checksum of its content, 64 hex digits.
        valence: number of valence electrons, or None where the file is absent.
    """

    element: str
    path: Path
    sha256: str
    valence: float | None


def find_pseudopotentials(settings: EspressoSettings) -> dict[str, Pseudopotential]:
    """The file of each element, read and checked against its checksum where one is given.

    Raises:
        EngineError: if a file is absent and has no checksum in the settings, is another one than
            the checksum says, or is neither UPF nor GTH.
    """
    found = {}
    for element, name in settings.pseudopotentials.items():
        path = settings.pseudo_dir / name
        expected = settings.pseudo_sha256.get(element)
        try:
            content = path.read_bytes()
        except OSError as error:
            if expected is None:
                raise EngineError(
                    f"pseudopotential of {element}, {path}",
                    error.strerror or error,
                    "Correct engine.pseudo_dir, or write GTH files with `defectscape pseudos gth`",
                ) from error
            found[element] = Pseudopotential(element, path, expected, None)
            continue
        checksum = hashlib.sha256(content).hexdigest()
        if expected not in (None, checksum):
            raise EngineError(
                f"pseudopotential of {element}, {path}",
                f"checksum {checksum[:12]}..., {str(expected)[:12]}... in the study",
                "Give the file that the study was made with, or take its checksum out",
            )
        text = content.decode("utf-8", errors="replace")
        found[element] = Pseudopotential(element, path, checksum, _valence(text, path))
    return found


def pseudopotential_of(files: dict[str, Pseudopotential], number: int, engine_name: str) -> Pseudopotential:
    """The file of the element with this atomic number, present on disk.

    Raises:
        EngineError: if there is none.
    """
    element = chemical_symbols[number]
    if element not in files:
        raise EngineError(
            f"engine {engine_name}",
            f"no pseudopotential for {element}",
            "Add it to engine.pseudopotentials",
        )
    file = files[element]
    if file.valence is None:
        raise EngineError(
            f"pseudopotential of {element}, {file.path}",
            "no such file",
            "A new label needs it; write GTH files with `defectscape pseudos gth`",
        )
    return file


def valence_electrons(files: dict[str, Pseudopotential], numbers: Ints, engine_name: str) -> float:
    """Valence electrons of the neutral cell with these atoms, shape (n,)."""
    valences = [pseudopotential_of(files, int(n), engine_name).valence for n in numbers]
    return float(sum(valence for valence in valences if valence is not None))


def _valence(text: str, path: Path) -> float:
    for pattern in (_UPF_VALENCE, _UPF_OLD_VALENCE):
        match = pattern.search(text)
        if match:
            return float(match.group(1).lower().replace("d", "e"))
    lines = text.splitlines()
    # GTH in ABINIT's form: the second line starts with the nuclear and the valence charge.
    if path.suffix.lower() == ".gth" and len(lines) > 2:
        try:
            return float(lines[1].split()[1])
        except (IndexError, ValueError):
            pass
    raise EngineError(f"pseudopotential {path}", "neither UPF nor GTH", "Give a file that pw.x reads")
