"""What the tests of pw.x share: is it there, and a small insulator that it solves in a second."""

import shutil
from pathlib import Path

import numpy as np
from ase.build import bulk

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.engines.gth import choose_potential, find_table, gth_file, read_potentials
from defectscape.settings.espresso import EspressoSettings


def absent() -> str | None:
    """Why pw.x cannot run here, or None."""
    if shutil.which("pw.x") is None:
        return "pw.x is not installed"
    try:
        find_table()
    except EngineError:
        return "no table of GTH pseudopotentials is installed"
    return None


def write_pseudopotentials(folder: Path) -> None:
    """Carbon's GTH pseudopotential from the installed table."""
    text = find_table().read_text(encoding="utf-8")
    chosen = choose_potential(read_potentials(text, "C", "pbe"), "C", None)
    (folder / "C.gth").write_text(gth_file(chosen, "pbe"))


def settings(folder: Path, functional: str = "pbe", **changes: object) -> EspressoSettings:
    """pw.x for diamond at Gamma."""
    values: dict[str, object] = {
        "kind": "espresso",
        "functional": functional,
        "command": "pw.x",
        "pseudo_dir": str(folder),
        "pseudopotentials": {"C": "C.gth"},
        "cutoff_Ry": 30.0,
        "kpoints": [1, 1, 1],
    }
    return EspressoSettings.model_validate(values | changes)


def diamond(charge: int = 0, *, a: float = 3.567, seed: int = 1, rattle: float = 0.05) -> Frame:
    """Eight rattled atoms of diamond."""
    atoms = bulk("C", "diamond", a=a, cubic=True)
    atoms.rattle(rattle, seed=seed)
    return Frame(
        atoms.numbers,
        atoms.positions,
        np.array(atoms.cell),
        DefectKey("i_C", charge),
        lowest_multiplicity(atoms.numbers, charge),
        Origin.RATTLE,
        "i_C/x",
    )
