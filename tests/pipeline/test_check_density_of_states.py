"""A density of states that is not the host's, or of other physics, is refused before anything is computed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defectscape.sampling.host import read_unit_cell
from support import ROOT
from support.check import refused
from support.density_of_states import States
from support.mistakes import mistake
from support.small_study import small_study
from support.vasprun import Run, Step, vasprun_text

VASP = {
    "kind": "vasp",
    "functional": "pbe",
    "command": "vasp",
    "potcar_dir": "nowhere",
    "potcars": {"Cd": "Cd", "Te": "Te"},
    "potcar_titles": {"Cd": "PAW_PBE Cd 06Sep2000", "Te": "PAW_PBE Te 08Apr2002"},
    "cutoff_eV": 400.0,
    "kpoints": [1, 1, 1],
}
SIDE_A = 6.46
HOST = read_unit_cell(ROOT / "config/hosts/CdTe.vasp")
SYMBOLS = [site.specie.symbol for site in HOST]
STATES = States()
HSE = {"LHFCALC": "T", "AEXX": "0.25", "HFSCREEN": "0.208"}


def run(side_A: float = SIDE_A, symbols: list[str] = SYMBOLS, move: float = 0.0, cycles: int = 3, **changes) -> Run:
    """A run of the host; its tellurium may be moved along the diagonal of the cube."""
    places = HOST.frac_coords + move * np.array([[symbol == "Te"] for symbol in SYMBOLS])
    return Run(symbols, [Step(np.eye(3) * side_A, places, cycles=cycles)], **{"states": STATES} | changes)


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., str]:
    """What the check says of the text of a file with bands."""

    def message(text: str) -> str:
        (tmp_path / "dos.xml").write_text(text)
        study = small_study()
        study["fidelities"]["high"]["engine"] = VASP
        study["thermo"]["concentrations"] = {"annealing_K": [900.0], "bands": {"kind": "vasprun", "file": "dos.xml"}}
        said = refused(tmp_path, study)
        assert said.startswith("thermo.concentrations.bands.file: dos.xml ")
        return said

    return message


def test_a_density_of_states_is_of_the_host_s_crystal(told: Callable[..., str]) -> None:
    zinc = ["Zn" if symbol == "Cd" else symbol for symbol in SYMBOLS]
    runs = (run(symbols=zinc), run(side_A=6.60), run(move=0.25))
    said = tuple(told(vasprun_text(made)) for made in runs)
    for text, part in zip(said, ("is of ZnTe", "A^3 per atom", "another crystal structure"), strict=True):
        assert part in text
    mistake("engines", "density of states of another composition, volume or crystal", said=said, when="check, run")


def test_a_density_of_states_is_by_the_study_s_functional(told: Callable[..., str]) -> None:
    said = told(vasprun_text(run(written=HSE)))
    assert "another functional: AEXX = 0.25" in said
    mistake(
        "engines",
        "density of states by another functional than the high fidelity's, which is VASP",
        said=said,
        when="check, run",
        right="another program's functional is not known: the report says that it was not compared",
    )


def test_a_density_of_states_is_of_the_study_s_physics(told: Callable[..., str]) -> None:
    runs = (run(written={"LSORBIT": "T"}), run(written={"EFIELD": "0.1"}), run(charge=2.0), run(moment=2.0))
    said = tuple(told(vasprun_text(made)) for made in runs)
    for text, part in zip(said, ("spin-orbit", "EFIELD = 0.1", "charge +2.00", "moment of 2.00"), strict=True):
        assert part in text
    mistake(
        "engines",
        "density of states with spin-orbit coupling, a field, a charge or a moment",
        said=said,
        when="check, run",
    )


def test_a_density_of_states_is_whole_and_has_a_gap(told: Callable[..., str]) -> None:
    whole = vasprun_text(run())
    mesh, lines = '<generation param="Gamma">', '<generation param="listgenerated">'
    assert mesh in whole
    said = (
        told(vasprun_text(run(states=States(vbm_eV=2.0, cbm_eV=2.0)))),
        told(vasprun_text(run(states=replace(STATES, has_dos=False)))),
        told(whole.replace(mesh, lines)),
        told(vasprun_text(run(cycles=60))),
        told(whole[: whole.index('<structure name="finalpos">')]),
        told(whole[: whole.index("<eigenvalues>")]),
    )
    parts = ("is metallic", "no density of states", "along lines", "SCF that is not converged", *["is cut short"] * 2)
    for text, part in zip(said, parts, strict=True):
        assert part in text
    mistake(
        "engines",
        "vasprun.xml of a metal, without a density of states, with k-points along lines, with an SCF that is not "
        "converged, or cut short",
        said=said,
        when="check, run",
    )


def test_a_density_of_states_is_that_of_its_eigenvalues(told: Callable[..., str]) -> None:
    runs = (run(states=replace(STATES, missing=0.3)), run(states=replace(STATES, dos_shift_eV=0.3)))
    said = tuple(told(vasprun_text(made)) for made in runs)
    for text, part in zip(said, ("EMIN", "Make both in one run"), strict=True):
        assert part in text
    mistake(
        "engines",
        "EMIN above the lowest band; density of states and eigenvalues of different runs",
        said=said,
        when="check, run",
    )
