"""Writes a small vasprun.xml: numbers made up, layout that of VASP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from support.density_of_states import States, dos_text, levels_eV

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
