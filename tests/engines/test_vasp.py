"""The whole path of a VASP label against real VASP output: inputs, command, checks, forces in order."""

import gzip
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from pymatgen.io.vasp.inputs import Incar, Poscar

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.engines.base import CalculationFailed
from defectscape.engines.labelling import label_frame
from defectscape.engines.vasp import LADDER, VaspEngine
from defectscape.engines.vasp_input import find_potcars, vasp_order, write_inputs
from defectscape.engines.vasp_output import VaspRun, read_run
from defectscape.settings.vasp import VaspEngine as Settings
from defectscape.store.labels import LabelStore

SOURCE = (
    Path(__file__).parents[3] / "shared/reference/vasp/cdte_Cd_i_C3v_0/vasprun.xml.gz"
).resolve()
TITLES = {"Cd": "PAW_PBE Cd 06Sep2000", "Te": "PAW_PBE Te 08Apr2002"}
VALENCE = {"Cd": 12, "Te": 6}

needs_source = pytest.mark.skipif(not SOURCE.is_file(), reason="no real VASP output is here")


@pytest.fixture
def potcars(tmp_path: Path) -> Path:
    """The two lines of each POTCAR that are no secret."""
    for element, title in TITLES.items():
        folder = tmp_path / "potcars" / element
        folder.mkdir(parents=True)
        text = f"   TITEL  = {title}\n   POMASS =  100.000; ZVAL   =   {VALENCE[element]}.000    mass\n"
        if element == "Cd":
            (folder / "POTCAR").write_text(text)
        else:
            (folder / "POTCAR.gz").write_bytes(gzip.compress(text.encode()))
    return tmp_path / "potcars"


def settings(potcars: Path, fault: str = "", **changes: object) -> Settings:
    """The hybrid that the real run was made with."""
    replay = Path(__file__).with_name("vasp_replay.py")
    command = f"{sys.executable} {replay} {SOURCE}" + (f" --fault {fault}" if fault else "")
    values: dict[str, object] = {
        "kind": "vasp", "functional": "hse06", "command": command, "potcar_dir": str(potcars),
        "potcars": {"Cd": "Cd", "Te": "Te"}, "cutoff_eV": 450.0, "kpoints": [1, 1, 1],
        "exx_fraction": 0.345, "screening_1_A": 0.2, "incar": {"LREAL": False, "ADDGRID": True},
        "time_limit_s": 60.0,
    }  # fmt: skip
    return Settings.model_validate(values | changes)


@pytest.fixture(scope="module")
def run() -> VaspRun:
    return read_run(SOURCE)


def frame_of(run: VaspRun, step: int, order: np.ndarray | None = None, charge: int = 0) -> Frame:
    """An ionic step as a frame, its atoms in another order if one is given."""
    order = np.arange(len(run.numbers)) if order is None else order
    numbers = run.numbers[order]
    return Frame(
        numbers, run.steps[step].positions_A[order], run.steps[step].cell_A,
        DefectKey("i_Cd_3", charge), lowest_multiplicity(numbers, charge), Origin.START, "i_Cd_3/x",
    )  # fmt: skip


def raw_step(step: int) -> tuple[float, np.ndarray]:
    """Energy and forces of a step by regular expression, without any library."""
    text = gzip.decompress(SOURCE.read_bytes()).decode("latin-1")
    block = re.findall(r"<calculation>.*?</calculation>", text, re.DOTALL)[step]
    forces = re.search(r'<varray name="forces" >(.*?)</varray>', block, re.DOTALL).group(1)
    energies = re.findall(r'<i name="e_fr_energy">\s*(\S+)\s*</i>', block)
    rows = re.findall(r"<v>(.*?)</v>", forces)
    return float(energies[-1]), np.array([row.split() for row in rows], dtype=float)


@needs_source
@pytest.mark.parametrize("step", [0, 7, 35])
def test_a_label_is_the_real_step_s(potcars: Path, run: VaspRun, step: int) -> None:
    engine = VaspEngine(settings(potcars))
    label = engine.compute(frame_of(run, step), 0)
    energy, forces = raw_step(step)
    assert label.energy_eV == energy
    np.testing.assert_array_equal(label.forces_eV_A, forces)
    assert engine.version.startswith("vasp 5.4.4")


@needs_source
def test_forces_come_back_in_the_frame_s_order(potcars: Path, run: VaspRun) -> None:
    # Cd and Te in turns: VASP wants them in blocks.
    cadmium, tellurium = np.arange(33), np.arange(33, 65)
    order = np.array([x for pair in zip(cadmium, tellurium, strict=False) for x in pair] + [32])
    label = VaspEngine(settings(potcars)).compute(frame_of(run, 3, order), 0)
    _, forces = raw_step(3)
    np.testing.assert_array_equal(label.forces_eV_A, forces[order])


@needs_source
@pytest.mark.parametrize(
    ("fault", "reason", "hopeless"),
    [
        ("nelect", "wrong charge", True),
        ("aexx", "exx_fraction: 0.25, not 0.345", True),
        ("cutoff", "cutoff_eV: 300.0, not 450.0", True),
        ("structure", "another structure", True),
        ("unconverged", "not converged", False),
        ("cut", "usable vasprun.xml|cut short", False),
        ("crash", "status 1: Error EDDDAV", False),
        ("silent", "no usable vasprun.xml", False),
    ],
)
def test_what_goes_wrong_is_said(
    potcars: Path, run: VaspRun, fault: str, reason: str, hopeless: bool
) -> None:
    with pytest.raises(CalculationFailed, match=reason) as caught:
        VaspEngine(settings(potcars, fault)).compute(frame_of(run, 2), 0)
    assert caught.value.hopeless is hopeless


@needs_source
def test_a_time_limit_ends_it(potcars: Path, run: VaspRun) -> None:
    engine = VaspEngine(settings(potcars, "hang", time_limit_s=4.0))
    with pytest.raises(CalculationFailed, match="had not ended after 4 s"):
        engine.compute(frame_of(run, 2), 0)


@needs_source
@pytest.mark.parametrize(("fault", "rungs"), [("nan", len(LADDER)), ("aexx", 1)])
def test_a_failure_is_a_record_and_not_trained_on(
    potcars: Path, run: VaspRun, tmp_path: Path, fault: str, rungs: int
) -> None:
    store = LabelStore(tmp_path / "labels")
    record = label_frame(frame_of(run, 2), VaspEngine(settings(potcars, fault)), store, 30.0)
    assert not record.trainable
    assert record.failure
    assert len(store.calls()) == rungs


@needs_source
def test_inputs_say_charge_spin_and_functional(potcars: Path, run: VaspRun, tmp_path: Path) -> None:
    frame = frame_of(run, 0, np.arange(64, -1, -1), charge=1)
    hse = settings(potcars)
    write_inputs(tmp_path, frame, hse, find_potcars(hse), 587.0, {"NELM": 100})
    incar = Incar.from_file(tmp_path / "INCAR")
    assert (incar["NELECT"], incar["ISPIN"], incar["NUPDOWN"]) == (587.0, 2, 1)
    assert (incar["LHFCALC"], incar["AEXX"], incar["HFSCREEN"]) == (True, 0.345, 0.2)
    assert (incar["NSW"], incar["IBRION"], incar["ENCUT"], incar["LASPH"]) == (0, -1, 450.0, True)
    # The frame begins with Te, so POSCAR and POTCAR do.
    poscar = Poscar.from_file(tmp_path / "POSCAR", check_for_potcar=False)
    assert poscar.site_symbols == ["Te", "Cd"]
    text = (tmp_path / "POTCAR").read_text()
    assert text.index("Te 08Apr2002") < text.index("Cd 06Sep2000")
    np.testing.assert_allclose(
        poscar.structure.cart_coords, frame.positions_A[vasp_order(frame.numbers)], atol=1e-9
    )
    pbe = settings(potcars, functional="pbe")
    write_inputs(tmp_path, frame_of(run, 0), pbe, find_potcars(pbe), 588.0, {})
    incar = Incar.from_file(tmp_path / "INCAR")
    assert (incar["GGA"].upper(), incar["ISPIN"]) == ("PE", 1)
    assert not {"LHFCALC", "AEXX", "NUPDOWN"} & set(incar)


def test_only_the_level_of_theory_is_part_of_a_label(potcars: Path) -> None:
    key = VaspEngine(settings(potcars)).settings_json
    same = settings(potcars, command="srun vasp_gam", scratch="/s", time_limit_s=9.0)
    assert VaspEngine(same).settings_json == key
    assert VaspEngine(settings(potcars, cutoff_eV=400.0)).settings_json != key
    assert VaspEngine(settings(potcars, incar={"LREAL": False})).settings_json != key
    absent = settings(potcars / "none", potcar_titles=TITLES)
    assert VaspEngine(absent).settings_json == key


def test_missing_and_wrong_files_are_named(potcars: Path) -> None:
    with pytest.raises(EngineError, match="POTCAR of Cd"):
        VaspEngine(settings(potcars / "none"))
    with pytest.raises(EngineError, match="the study says PAW_PBE Cd_GW"):
        VaspEngine(settings(potcars, potcar_titles={"Cd": "PAW_PBE Cd_GW 01Jan2000"}))


@needs_source
def test_a_missing_program_is_named(potcars: Path, run: VaspRun) -> None:
    with pytest.raises(EngineError, match="vasp_nowhere"):
        VaspEngine(settings(potcars, command="vasp_nowhere")).compute(frame_of(run, 0), 0)


@pytest.mark.parametrize("name", ["NELECT", "ispin", "NSW", "AEXX", "a b"])
def test_tags_that_are_ours_are_refused(potcars: Path, name: str) -> None:
    with pytest.raises(ValidationError, match=r"follows from the frame|not an INCAR tag"):
        settings(potcars, incar={name: 1})
