"""Writes a small vasprun.xml, with a density of states as VASP prints it: numbers made up, layout that of VASP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from defectscape.thermo.bands import STATES_PER_EV15_A3

# A density of states as VASP prints it: two parabolic edges of made-up masses, the other electrons deep below.


ELECTRON, HOLE = 0.11, 0.6
DEEP_EV = 5.5
"""So far below the VBM the other electrons begin."""


@dataclass(frozen=True)
class States:
    """Bands of a run.

    Attributes:
        vbm_eV, cbm_eV: edges, eV.
        step_eV: between two energies, eV.
        decimals: of all printed energies; VASP prints four.
        dos_shift_eV: by which the density of states is off its eigenvalues, eV.
        missing: share of the electrons that the density of states lacks.
        has_dos: whether there is one.
        width_eV: of the Gaussian that broadens the density of states, VASP's SIGMA, eV.
        late_eV: above the CBM, where the states of a light band are seen first between the points of a coarse mesh, eV.
    """

    vbm_eV: float = 2.0
    cbm_eV: float = 3.5
    step_eV: float = 0.01
    decimals: int = 4
    dos_shift_eV: float = 0.0
    missing: float = 0.0
    has_dos: bool = True
    width_eV: float = 0.0
    late_eV: float = 0.0


def dos_text(states: States, volume_A3: float, electrons: float) -> str:
    """The block ``<dos>``."""
    if not states.has_dos:
        return ""
    energies_eV = np.arange(-6.0, states.cbm_eV - states.vbm_eV + 6.0, states.step_eV)
    gap_eV = states.cbm_eV - states.vbm_eV
    per_root = STATES_PER_EV15_A3 * volume_A3
    density = per_root * HOLE**1.5 * np.sqrt(np.clip(-energies_eV, 0, None))
    density += per_root * ELECTRON**1.5 * np.sqrt(np.clip(energies_eV - gap_eV, 0, None))
    density[(energies_eV > gap_eV / 2) & (energies_eV < gap_eV + states.late_eV)] = 0.0
    if states.width_eV:
        density = _broadened(density, states)
    below, deep = energies_eV <= gap_eV / 2, energies_eV < -DEEP_EV
    rest = electrons * (1 - states.missing) - np.trapezoid(density[below], dx=states.step_eV)
    density[deep] += rest / (deep.sum() - 0.5) / states.step_eV
    printed = energies_eV + states.vbm_eV + states.dos_shift_eV
    rows = "".join(f"<r> {e:.{states.decimals}f} {d:.8f} 0.0 </r>\n" for e, d in zip(printed, density, strict=True))
    fields = "<field>energy</field>\n<field>total</field>\n<field>integrated</field>"
    return (
        f'<dos>\n<i name="efermi">{states.vbm_eV:.4f}</i>\n<total>\n<array>\n{fields}\n<set>\n<set comment="spin 1">\n'
        f"{rows}</set>\n</set>\n</array>\n</total>\n</dos>"
    )


def _broadened(density: np.ndarray, states: States) -> np.ndarray:
    """States of a grid behind a Gaussian exp(-(E/SIGMA)^2), as VASP's ISMEAR = 0."""
    reach = round(6 * states.width_eV / states.step_eV)
    gaussian = np.exp(-((np.arange(-reach, reach + 1) * states.step_eV / states.width_eV) ** 2))
    return np.convolve(density, gaussian / gaussian.sum(), "same")


def levels_eV(states: States, bands: np.ndarray, filled: float) -> np.ndarray:
    """Eigenvalues at Gamma, (bands,), eV: half an eV apart up to the VBM, and from the CBM on."""
    below = states.vbm_eV - 0.5 * (filled - 1 - bands)
    return np.where(bands < filled, below, states.cbm_eV + 0.5 * (bands - filled))


# Writes a small vasprun.xml: numbers made up, layout that of VASP.


VALENCE = {"Cd": 12.0, "Te": 6.0, "Zn": 12.0}
TITLES = {"Cd": "PAW_PBE Cd 06Sep2000", "Te": "PAW_PBE Te 08Apr2002", "Zn": "PAW_PBE Zn 06Sep2000"}
PARAMETERS = {
    "PREC": "accura",
    "ENMAX": "400.0",
    "EDIFF": "1e-06",
    "ISMEAR": "0",
    "SIGMA": "0.05",
    "ISPIN": "1",
    "NUPDOWN": "-1.0",
    "LREAL": "F",
    "LASPH": "T",
    "ADDGRID": "F",
    "GGA": "PE",
    "LHFCALC": "F",
    "NELM": "60",
    "ICHARG": "2",
    "IDIPOL": "0",
    "METAGGA": "--",
}
TEXT = ("PREC", "GGA", "METAGGA", "ALGO", "SYSTEM", "version")


@dataclass(frozen=True)
class Step:
    """One ionic step: what is printed of it.

    Attributes:
        cell_A: (3, 3), A.
        fractions: (n, 3).
        energy: eV, a number or what VASP printed in its place.
        cycles: number of SCF cycles.
        without: name of a block that is missing.
        force: what is printed for the first component of the first force, if not its value.
    """

    cell_A: np.ndarray
    fractions: np.ndarray
    energy: float | str = -20.0
    cycles: int = 3
    without: str = ""
    force: str = ""


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        symbols: of its atoms.
        steps: its ionic steps.
        charge: of the cell, units of e.
        written: INCAR tags, written into the parameters, too.
        parameters: tags of the parameters alone.
        moment: total moment, with ISPIN = 2.
        states: bands, with a density of states; without, eigenvalues of no meaning.
    """

    symbols: Sequence[str]
    steps: Sequence[Step]
    charge: float = 0.0
    written: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    moment: float | None = None
    states: States | None = None


def vasprun_text(run: Run) -> str:
    """The file."""
    tags = {**PARAMETERS, **run.parameters, **run.written}
    if run.moment is not None:
        tags["ISPIN"] = "2"
    neutral = sum(VALENCE[symbol] for symbol in run.symbols)
    electrons = neutral - run.charge
    parts = ['<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n<generator>']
    parts += [_entry("program", "vasp"), _entry("version", "6.4.2"), "</generator>\n<incar>"]
    parts += [_entry(name, value) for name, value in {"ENCUT": tags["ENMAX"], **run.written}.items()]
    parts += ["</incar>", _kpoints(), '<parameters>\n<separator name="general">']
    parts += [_entry(name, value) for name, value in tags.items()]
    parts += [_entry("NELECT", f"{electrons:.8f}"), "</separator>\n</parameters>", _atoms(run.symbols)]
    parts.append(_structure(run.steps[0], "initialpos"))
    for number, step in enumerate(run.steps):
        last = number == len(run.steps) - 1
        parts.append(_calculation(step, _bands(run, step, electrons, neutral) if last else ""))
    parts += [_structure(run.steps[-1], "finalpos"), "</modeling>\n"]
    return "\n".join(parts)


def _entry(name: str, value: str) -> str:
    bare = value.strip().lstrip("+-")
    if name in TEXT:
        kind = 'type="string" '
    elif value in ("T", "F"):
        kind = 'type="logical" '
    elif bare.isdigit():
        kind = 'type="int" '
    else:
        number = bare[:1].isdigit()
        kind = "" if number or "*" in value else 'type="string" '
    return f'<i {kind}name="{name}">{value}</i>'


def _rows(name: str, rows: np.ndarray) -> str:
    lines = "".join("<v>" + " ".join(str(x) for x in row) + "</v>\n" for row in rows.tolist())
    return f'<varray name="{name}" >\n{lines}</varray>'


def _structure(step: Step, name: str = "") -> str:
    cell = _rows("basis", step.cell_A) + _entry("volume", str(abs(np.linalg.det(step.cell_A))))
    cell += _rows("rec_basis", np.linalg.inv(step.cell_A).T)
    title = f' name="{name}"' if name else ""
    return f"<structure{title}>\n<crystal>\n{cell}</crystal>\n{_rows('positions', step.fractions)}</structure>"


def _energy(value: float | str) -> str:
    names = ("e_fr_energy", "e_wo_entrp", "e_0_energy")
    return "<energy>\n" + "\n".join(_entry(name, str(value)) for name in names) + "</energy>"


def _calculation(step: Step, eigenvalues: str) -> str:
    forces = np.random.default_rng(0).normal(0, 0.1, step.fractions.shape)
    text = _rows("forces", forces - forces.mean(axis=0))
    if step.force:
        start = text.index("<v>") + 3
        text = text[:start] + step.force + text[text.index(" ", start) :]
    blocks = {
        "structure": _structure(step),
        "forces": text,
        "stress": _rows("stress", np.eye(3)),
        "energy": _energy(step.energy),
    }
    blocks.pop(step.without, None)
    cycle = f"<scstep>\n{_energy(step.energy)}</scstep>\n"
    return f"<calculation>\n{cycle * step.cycles}{''.join(blocks.values())}{eigenvalues}</calculation>"


def _bands(run: Run, step: Step, electrons: float, neutral: float) -> str:
    text = _eigenvalues(electrons, neutral, run.moment, run.states)
    return text if run.states is None else text + dos_text(run.states, abs(np.linalg.det(step.cell_A)), electrons)


def _eigenvalues(electrons: float, neutral: float, moment: float | None, states: States | None) -> str:
    bands = np.arange(int(neutral // 2) + 4)
    shares = [electrons / 2] if moment is None else [(electrons + moment) / 2, (electrons - moment) / 2]
    sets = ""
    for spin, share in enumerate(shares, 1):
        energies = -10 + 0.5 * bands + 3 * (bands >= share) if states is None else levels_eV(states, bands, share)
        decimals = 4 if states is None else states.decimals
        rows = "".join(
            f"<r> {energy:.{decimals}f} {np.clip(share - band, 0, 1):.6f} </r>\n"
            for band, energy in zip(bands, energies, strict=True)
        )
        sets += f'<set comment="spin {spin}">\n<set comment="kpoint 1">\n{rows}</set>\n</set>\n'
    fields = "<field>eigene</field>\n<field>occ</field>"
    return f"<eigenvalues>\n<array>\n{fields}\n<set>\n{sets}</set>\n</array>\n</eigenvalues>"


def _kpoints() -> str:
    mesh = '<v type="int" name="divisions">1 1 1</v>\n<v name="usershift">0 0 0</v>\n<v name="genvec1">1 0 0</v>\n'
    mesh += '<v name="genvec2">0 1 0</v>\n<v name="genvec3">0 0 1</v>\n<v name="shift">0 0 0</v>\n'
    lists = _rows("kpointlist", np.zeros((1, 3))) + _rows("weights", np.ones((1, 1)))
    return f'<kpoints>\n<generation param="Gamma">\n{mesh}</generation>\n{lists}</kpoints>'


def _atoms(symbols: Sequence[str]) -> str:
    blocks: list[list] = []
    for symbol in symbols:
        if not blocks or blocks[-1][0] != symbol:
            blocks.append([symbol, 0])
        blocks[-1][1] += 1
    atoms = "".join(
        f"<rc><c>{symbol}</c><c>{block}</c></rc>\n"
        for block, (symbol, count) in enumerate(blocks, 1)
        for _ in range(count)
    )
    types = "".join(
        f"<rc><c>{count}</c><c>{symbol}</c><c> 1.0</c><c> {VALENCE[symbol]:.8f}</c><c> {TITLES[symbol]} </c></rc>\n"
        for symbol, count in blocks
    )
    return (
        f"<atominfo>\n<atoms>{len(symbols)}</atoms>\n<types>{len(blocks)}</types>\n"
        '<array name="atoms">\n<field type="string">element</field>\n<field type="int">atomtype</field>\n'
        f'<set>\n{atoms}</set>\n</array>\n<array name="atomtypes">\n<field type="int">atomspertype</field>\n'
        '<field type="string">element</field>\n<field>mass</field>\n<field>valence</field>\n'
        f'<field type="string">pseudopotential</field>\n<set>\n{types}</set>\n</array>\n</atominfo>'
    )
