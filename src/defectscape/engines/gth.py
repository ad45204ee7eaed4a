"""GTH pseudopotentials for pw.x, from the tables of CP2K.

CP2K's table of Goedecker-Teter-Hutter pseudopotentials (Phys. Rev. B 54, 1703 (1996); 58, 3641
(1998); Krack, Theor. Chem. Acc. 114, 145 (2005)) comes with Debian's ``cp2k-data`` and inside
PySCF's wheel. pw.x reads the same numbers in the form of ABINIT's pspcod 10, suffix ``.gth``. The
text that is written depends on the numbers alone, so its checksum is the same from either source.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ase.data import atomic_numbers

from defectscape.domain.errors import EngineError

FUNCTIONALS = {"pbe": ("PBE", 11), "pade": ("PADE", 1), "blyp": ("BLYP", 18)}
"""Our name: the table's name, and ABINIT's number, of the functional the file is made for."""

CP2K_TABLES = ("/usr/share/cp2k/GTH_POTENTIALS", "/usr/local/share/cp2k/data/GTH_POTENTIALS")
PYSCF_TABLE = ("pbc", "gto", "pseudo", "GTH_POTENTIALS")


@dataclass(frozen=True)
class Channel:
    """The projectors of one angular momentum.

    Attributes:
        radius_bohr: their radius, bohr.
        couplings: upper triangle of the coupling matrix by rows, hartree.
    """

    radius_bohr: float
    couplings: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class GthPotential:
    """One entry of the table.

    Attributes:
        element: chemical symbol.
        valence: number of valence electrons.
        radius_bohr: radius of the local part, bohr.
        local: its coefficients, hartree.
        channels: projectors for l = 0, 1, ...
    """

    element: str
    valence: int
    radius_bohr: float
    local: tuple[float, ...]
    channels: tuple[Channel, ...]

    @property
    def file_name(self) -> str:
        """The usual name of its file."""
        return f"{self.element}.q{self.valence}.gth"


def find_table() -> Path:
    """The table of an installed cp2k-data or PySCF.

    Raises:
        EngineError: if there is neither.
    """
    candidates = [Path(path) for path in CP2K_TABLES]
    pyscf = importlib.util.find_spec("pyscf")
    if pyscf is not None and pyscf.origin is not None:
        candidates.append(Path(pyscf.origin).parent.joinpath(*PYSCF_TABLE))
    for path in candidates:
        if path.is_file():
            return path
    raise EngineError(
        "GTH table",
        "found neither in cp2k-data nor in PySCF",
        "Install one (`apt-get install cp2k-data`, `pip install pyscf`) or give --table",
    )


def read_potentials(text: str, element: str, functional: str) -> dict[int, GthPotential]:
    """All potentials of an element for a functional, by number of valence electrons.

    Args:
        text: the table.
        element: chemical symbol.
        functional: one of ``FUNCTIONALS``.
    """
    tag = f"GTH-{FUNCTIONALS[functional][0]}-q"
    lines = [line.split("#")[0].rstrip() for line in text.splitlines()]
    found = {}
    for index, line in enumerate(lines):
        words = line.split()
        if len(words) > 1 and words[0] == element and any(w.startswith(tag) for w in words[1:]):
            potential = _entry(element, lines[index + 1 :])
            found[potential.valence] = potential
    return found


def choose_potential(potentials: dict[int, GthPotential], element: str, valence: int | None) -> GthPotential:
    """The potential with that many valence electrons, else the one with most of them.

    More electrons are safer and dearer: CdTe's lattice constant is 4% too small with two valence
    electrons of Cd, and right with twelve.

    Raises:
        EngineError: if there is none.
    """
    if not potentials or (valence is not None and valence not in potentials):
        known = ", ".join(f"q{count}" for count in sorted(potentials)) or "none"
        raise EngineError(
            f"GTH pseudopotential of {element}",
            f"q{valence or ''}, the table has {known}",
            "Choose one of these, or another table",
        )
    return potentials[max(potentials) if valence is None else valence]


def gth_file(potential: GthPotential, functional: str) -> str:
    """The file as pw.x reads it."""
    number = FUNCTIONALS[functional][1]
    channels = potential.channels
    lines = [
        f"Goedecker-Teter-Hutter pseudopotential of {potential.element}, {potential.valence} "
        f"valence electrons, {FUNCTIONALS[functional][0]}",
        f"{atomic_numbers[potential.element]} {potential.valence} 010101  zatom zion pspdat",
        f"10 {number} {len(channels) - 1} 0 2002 0  pspcod pspxc lmax lloc mmax r2well",
        f"{_numbers([potential.radius_bohr])} {len(potential.local)} {_numbers(potential.local)}".rstrip(),
        str(len(channels)),
    ]
    for momentum, channel in enumerate(channels):
        count = len(channel.couplings)
        first, *rest = channel.couplings or ((),)
        lines.append(f"{_numbers([channel.radius_bohr])} {count} {_numbers(first)}".rstrip())
        lines += [f"  {_numbers(row)}" for row in rest]
        if momentum > 0:
            # Spin-orbit couplings, of which there are none.
            lines += [f"  {_numbers([0.0] * (count - row))}" for row in range(count)]
    return "\n".join(lines) + "\n"


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.14f}" for value in values)


def _entry(element: str, lines: Sequence[str]) -> GthPotential:
    """The entry whose first line after the header is the first of ``lines``."""
    rows = iter([line.split() for line in lines[:40] if line.strip()])
    valence = sum(int(word) for word in next(rows))
    words = next(rows)
    count = int(words[1])
    radius, local = float(words[0]), tuple(float(word) for word in words[2 : 2 + count])
    channels = []
    for _ in range(int(next(rows)[0])):
        words = next(rows)
        size = int(words[1])
        couplings = [tuple(float(word) for word in words[2 : 2 + size])] if size else []
        couplings += [tuple(float(word) for word in next(rows)) for _ in range(size - 1)]
        channels.append(Channel(float(words[0]), tuple(couplings)))
    # pw.x wants no empty channel at the end.
    while channels and not channels[-1].couplings:
        channels.pop()
    return GthPotential(element, valence, radius, local, tuple(channels))
