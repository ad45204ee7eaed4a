"""What the check says of a density of states, a prior and engines before anything is computed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from defectscape.domain.errors import ConfigError, DefectscapeError, EngineError
from defectscape.sampling.host import read_unit_cell
from defectscape.settings.load import load_study
from defectscape.study.context import StudyContext
from defectscape.tools.check import Plan, make_plan
from support import ROOT
from support.mistakes import mistake
from support.small_study import small_study, write_study
from support.vasprun import Run, States, Step, vasprun_text
from support.workflow import refused

# A density of states that is not the host's, or of other physics, is refused before anything is computed.


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


# What is wrong with a prior is said before anything is computed.


IPEA1_HOT = {"kind": "tblite", "method": "IPEA1-xTB", "electronic_temperature_K": 1500.0}
BLIND = {
    "kind": "ase",
    "calculator": "ase.calculators.lj.LennardJones",
    "method": "springs",
    "arguments": {"sigma": 2.5, "epsilon": 0.01, "rc": 5.0},
    "charge": "info.charge",
    "multiplicity": "none",
}
STATED = {**BLIND, "charge": "none", "charge_blind": True}


def study_over(engine: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return small_study() | {"prior": {"engine": engine, **rest}}


def context_of(study: dict[str, Any], folder: Path) -> StudyContext:
    study["label_store"] = str(folder / "labels")
    return StudyContext.load(write_study(study, folder), folder / "results")


def plan_of(study: dict[str, Any], folder: Path) -> Plan:
    return make_plan(context_of(study, folder), measure=True)


def test_a_prior_labels_the_host_in_a_store_of_its_own(tmp_path: Path) -> None:
    context = context_of(study_over(IPEA1_HOT), tmp_path)
    assert make_plan(context, measure=True).warnings == make_plan(context).warnings
    assert context.prior is not None
    assert {record.frame.charge for record in context.prior.store.records()} == {0, -1}
    assert {record.engine for record in context.prior.store.records()} == {"tblite/IPEA1-xTB"}
    assert len(list(context.store.records())) == 2, "one at each fidelity"


def test_a_prior_that_does_not_know_the_charge_is_found_out(tmp_path: Path) -> None:
    (unsure,) = [text for text in make_plan(context_of(study_over(BLIND), tmp_path)).warnings if "prior" in text]
    assert "prior.engine is ase.calculators.lj.LennardJones" in unsure
    assert "check --measure" in unsure
    with pytest.raises(EngineError, match=r"gives charge \+0 and charge \+2 the same energy"):
        plan_of(study_over(BLIND), tmp_path)


def test_as_a_landscape_it_is_fine(tmp_path: Path) -> None:
    plan = plan_of(study_over(IPEA1_HOT, landscape=STATED), tmp_path)
    assert not [text for text in plan.warnings if "prior" in text]


def test_an_element_that_a_hamiltonian_lacks_is_refused_with_its_method(tmp_path: Path) -> None:
    study = study_over(IPEA1_HOT)
    study["defects"][0]["name"] = "U_Cd"
    study["thermo"]["elemental_references"]["U"] = {"energy_eV_per_atom": -1.0, "source": "a test"}
    with pytest.raises(ConfigError, match=r"^prior\.engine: IPEA1-xTB has no parameters for U\. Take another engine"):
        make_plan(context_of(study, tmp_path))


def test_a_prior_that_cannot_run_says_the_reason(tmp_path: Path) -> None:
    broken = {**STATED, "arguments": {"sigma": 0.0, "epsilon": 1e308, "rc": 5.0}}
    with pytest.raises(EngineError, match="prior of the perfect supercell: the prior failed"):
        plan_of(study_over(IPEA1_HOT, landscape=broken), tmp_path)


@pytest.mark.parametrize("block", ["training", "exploration.training"])
def test_a_prior_that_is_the_low_fidelity_leaves_nothing_for_its_head(tmp_path: Path, block: str) -> None:
    study = small_study()
    study["prior"] = {"engine": study["fidelities"]["low"]["engine"]}
    for training in (study["training"], study["exploration"]["training"]):
        training["strategy"] = "high_only"
    assert load_study(write_study(study, tmp_path)).prior is not None
    (study["training"] if block == "training" else study["exploration"]["training"])["strategy"] = "delta"
    with pytest.raises(DefectscapeError, match=rf"low fidelity gfn1.* are zero.*{block}\.strategy delta.*high_only"):
        load_study(write_study(study, tmp_path))


def test_a_prior_that_is_the_high_fidelity_is_refused(tmp_path: Path) -> None:
    study = small_study()
    study["prior"] = {"engine": study["fidelities"]["high"]["engine"]}
    with pytest.raises(DefectscapeError, match="high fidelity ipea1: the model would have nothing to learn"):
        load_study(write_study(study, tmp_path))


def test_a_prior_that_states_that_it_knows_no_charge_is_a_landscape(tmp_path: Path) -> None:
    with pytest.raises(DefectscapeError, match=r"prior\.engine knows no charge .* give it as prior\.landscape"):
        load_study(write_study(study_over(STATED), tmp_path))
    assert load_study(write_study(study_over(IPEA1_HOT, landscape=STATED), tmp_path)).prior is not None


@pytest.mark.parametrize("block", ["training", "exploration.training"])
def test_a_foundation_under_a_prior_would_count_twice(tmp_path: Path, block: str) -> None:
    study = study_over(IPEA1_HOT)
    (study["training"] if block == "training" else study["exploration"]["training"])["foundation"] = "mace.model"
    with pytest.raises(DefectscapeError, match=rf"{block}\.foundation starts from the whole energy surface"):
        load_study(write_study(study, tmp_path))


# Engines as the check sees them: their Pythons start, and one that knows no charge is named.


def lennard_jones(**changes: object) -> dict[str, Any]:
    engine = {"kind": "ase", "calculator": "ase.calculators.lj.LennardJones", "method": "Lennard-Jones"}
    return engine | {"charge": "none", "charge_blind": True, "multiplicity": "none"} | changes


def plan_with(engine: dict[str, Any], folder: Path) -> Plan:
    study = small_study()
    study["fidelities"]["low"]["engine"] = engine
    return make_plan(StudyContext.load(write_study(study, folder), folder / "results"))


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("nowhere/python", "nowhere/python: there is no such file. Give the path"),
        ("/bin/true", "engine.python /bin/true: is no Python interpreter"),
    ],
)
def test_an_engine_s_python_is_started(tmp_path: Path, python: str, words: str) -> None:
    with pytest.raises(DefectscapeError) as caught:
        plan_with(lennard_jones(python=python), tmp_path)
    assert words in str(caught.value)


def test_an_engine_that_knows_no_charge_is_named(tmp_path: Path) -> None:
    warnings = plan_with(lennard_jones(), tmp_path).warnings
    name = small_study()["fidelities"]["low"]["name"]
    assert [line for line in warnings if f"The {name} engine knows no charge" in line]
    with pytest.raises(DefectscapeError, match="charge_blind: true"):
        plan_with(lennard_jones(charge_blind=False), tmp_path)
