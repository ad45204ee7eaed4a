"""The two levels of theory of a new study: proposed where they can be, else what is to fill in."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ase.data import atomic_numbers, chemical_symbols

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame
from defectscape.domain.site import HostCrystal
from defectscape.engines.gth import choose_potential, find_table, read_potentials
from defectscape.files.quiet import quiet
from defectscape.files.structures import to_structure
from defectscape.sampling.host import build_host, host_frame
from defectscape.settings.load import FILL_IN
from defectscape.settings.structure import SupercellSettings
from defectscape.settings.tblite import HEAVIEST
from defectscape.tools.hamiltonians import find_pair

Kind = Literal["tblite", "espresso", "vasp", "ase"]

SAMPLED_A = 12.0
"""A cell of this length is sampled by one k-point along it; a shorter one by more."""
TRIED_A = 5.5
"""Shortest edge of the supercell that all Hamiltonians are tried on: some seconds each."""


@dataclass(frozen=True)
class Levels:
    """The section of the fidelities.

    Attributes:
        lines: of the study's file, each with its end.
        told: what was found, in lines.
        open_keys: keys that are to fill in.
    """

    lines: tuple[str, ...]
    told: tuple[str, ...]
    open_keys: tuple[str, ...]


def kpoints(lengths_A: Sequence[float]) -> list[int]:
    """A Gamma-centred mesh for a cell of these edges, A."""
    return [max(1, math.ceil(SAMPLED_A / length_A - 1e-6)) for length_A in lengths_A]


def check_parameters(engine: Kind, elements: Iterable[str]) -> None:
    """Refuse, before anything is looked for, an element that tight binding has no parameters for.

    Raises:
        EngineError: naming the first of them.
    """
    if engine != "tblite":
        return
    for element in elements:
        if atomic_numbers[element] > HEAVIEST:
            raise EngineError(
                "tblite",
                f"tight binding has no parameters for {element}",
                f"They end at {chemical_symbols[HEAVIEST]}; take another engine (--engine espresso, vasp or ase)",
            )


def levels_of(engine: Kind, host: HostCrystal, elements: Sequence[str], references: Mapping[str, Frame]) -> Levels:
    """The low and the high level of an engine for a host.

    Args:
        engine: its kind.
        host: the crystal.
        elements: symbols of its elements and of the dopants.
        references: frames of those elements whose reference phase is known.

    Raises:
        EngineError: as ``find_pair``.
    """
    if engine == "tblite":
        return _tight_binding(host, references)
    if engine == "ase":
        return _calculators()
    return _dft(engine, host, elements)


def _tight_binding(host: HostCrystal, references: Mapping[str, Frame]) -> Levels:
    trials, low, high = find_pair(host_frame(host), _small(host), references)
    lines = ["fidelities:\n"]
    for level, trial, why in (("low", low, "the fastest other one"), ("high", high, "the widest gap")):
        name = trial.method.partition("-")[0].lower()
        line = f"  {level}: {{name: {name}, engine: {{kind: tblite, method: {trial.method}}}}}"
        lines.append(f"{line:<70}  # {why} of those that converge: gap {trial.gap_eV:.2f} eV, {trial.wall_s:.1f} s\n")
    told = (
        *(trial.words for trial in trials),
        f"low {low.method}, high {high.method}: tight binding stands in for DFT",
    )
    return Levels(tuple(lines), told, ())


def _small(host: HostCrystal) -> Frame | None:
    """A small supercell to try Hamiltonians on, or None where the study's own has not twice the atoms."""
    unit = to_structure(host.unit_numbers, host.unit_positions_A, host.unit_cell_A).get_reduced_structure("niggli")
    multiples = [math.ceil(TRIED_A / edge_A - 1e-6) for edge_A in unit.lattice.abc]
    if 2 * len(unit) * math.prod(multiples) > len(host.numbers):
        return None
    matrix = [[multiple if row == column else 0 for column in range(3)] for row, multiple in enumerate(multiples)]
    small = SupercellSettings(matrix=matrix, min_image_distance_A=min(unit.lattice.abc))
    return host_frame(build_host(unit, small))


def _calculators() -> Levels:
    lines = ["fidelities:\n"]
    for level, name in (("low", "cheap"), ("high", "expensive")):
        lines += [
            f"  {level}:\n",
            f"    name: {name}\n",
            "    engine:\n",
            "      kind: ase\n",
            f"      calculator: {FILL_IN}  # the class with its module: gpaw.GPAW\n",
            f"      method: {FILL_IN}  # level of theory, for the report: PBE\n",
            "      arguments: {}  # keyword arguments of the class\n",
            f"      charge: {FILL_IN}  # keyword argument that takes the total charge, or info.NAME\n",
            f"      multiplicity: {FILL_IN}  # keyword argument that takes 2S + 1, info.NAME, magmoms or none\n",
        ]
    keys = [
        f"fidelities.{level}.engine.{key}" for level in ("low", "high") for key in ("calculator", "method", "charge")
    ]
    return Levels(tuple(lines), ("two ASE calculators: name them, docs/engines.md has examples",), tuple(keys))


def _dft(engine: Literal["espresso", "vasp"], host: HostCrystal, elements: Sequence[str]) -> Levels:
    lengths_A = [float(sum(x * x for x in row) ** 0.5) for row in host.cell_A]
    mesh = kpoints(lengths_A)
    own, keys = _espresso(elements) if engine == "espresso" else _vasp(elements)
    command = "pw.x" if engine == "espresso" else ("vasp_gam" if mesh == [1, 1, 1] else "vasp_std")
    lines = (
        "fidelities:\n",
        "  low:\n",
        "    name: pbe\n",
        "    engine: &dft\n",
        f"      kind: {engine}\n",
        "      functional: pbe\n",
        f"      command: {command}  # as you type it: srun {command}, mpirun -n 16 {command}\n",
        *own,
        f"      kpoints: {mesh}  # edges below {SAMPLED_A:g} A get more than Gamma; converge it\n",
        "  high:\n",
        "    name: hse06\n",
        "    engine: {<<: *dft, functional: hse06}  # all else as the low level\n",
    )
    told = (f"PBE and HSE06 with {command}, k-points {mesh}: set the command, and converge cutoff and k-points",)
    return Levels(lines, told, tuple(f"fidelities.low.engine.{key}" for key in keys))


def _vasp(elements: Sequence[str]) -> tuple[list[str], list[str]]:
    with quiet("doped"):
        from doped.vasp import default_potcar_dict

    names = ", ".join(f"{element}: {default_potcar_dict.get(element, element)}" for element in elements)
    lines = [
        f"      potcar_dir: {FILL_IN}  # folder with a subfolder for each POTCAR, as VASP delivers them\n",
        f"      potcars: {{{names}}}  # doped's choice\n",
        f"      cutoff_eV: {FILL_IN}  # at least the largest ENMAX of the POTCARs\n",
    ]
    return lines, ["potcar_dir", "cutoff_eV"]


def _espresso(elements: Sequence[str]) -> tuple[list[str], list[str]]:
    files, keys = {}, ["cutoff_Ry"]
    why = f"written by `defectscape pseudos gth {' '.join(elements)}` in this folder"
    try:
        text = find_table().read_text(encoding="utf-8", errors="replace")
        for element in elements:
            files[element] = choose_potential(read_potentials(text, element, "pbe"), element, None).file_name
        folder = "pseudos/gth"
    except EngineError:
        files, folder = dict.fromkeys(elements, FILL_IN), FILL_IN
        why = "folder and files of your pseudopotentials, made for PBE"
        keys = ["pseudo_dir", "pseudopotentials", *keys]
    names = ", ".join(f"{element}: {file}" for element, file in files.items())
    lines = [
        f"      pseudo_dir: {folder}  # {why}\n",
        f"      pseudopotentials: {{{names}}}\n",
        f"      cutoff_Ry: {FILL_IN}  # `defectscape converge low 30 40 60 80 100` measures it\n",
    ]
    return lines, keys
