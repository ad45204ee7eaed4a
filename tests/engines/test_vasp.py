"""VASP labels against real VASP output: inputs, command, checks, and every step of a vasprun.xml."""

import gzip
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar

from defectscape.domain.errors import EngineError, LabelError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.engines.base import CalculationFailed
from defectscape.engines.labelling import label_frame
from defectscape.engines.vasp import ATTEMPTS, VaspEngine
from defectscape.engines.vasp_input import find_potcars, vasp_order, write_inputs
from defectscape.engines.vasp_output import VaspRun, read_run
from defectscape.settings.vasp import VaspSettings
from defectscape.store.labels import LabelStore
from support import ROOT

# The whole path of a VASP label against real VASP output: inputs, command, checks, forces in order.


REPLAY = ROOT / "tests/support/vasp_replay.py"
SOURCE = ROOT / "tests/data/vasp/cdte_Cd_i_C3v_0/vasprun.xml.gz"
TITLES = {"Cd": "PAW_PBE Cd 06Sep2000", "Te": "PAW_PBE Te 08Apr2002"}
VALENCE = {"Cd": 12, "Te": 6}


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


def settings(potcars: Path, fault: str = "", **changes: object) -> VaspSettings:
    """The hybrid that the real run was made with."""
    command = f"{sys.executable} {REPLAY} {SOURCE}" + (f" --fault {fault}" if fault else "")
    values: dict[str, object] = {
        "kind": "vasp",
        "functional": "hse06",
        "command": command,
        "potcar_dir": str(potcars),
        "potcars": {"Cd": "Cd", "Te": "Te"},
        "cutoff_eV": 450.0,
        "kpoints": [1, 1, 1],
        "exx_fraction": 0.345,
        "screening_1_A": 0.2,
        "incar": {"LREAL": False, "ADDGRID": True},
        "time_limit_s": 60.0,
    }
    return VaspSettings.model_validate(values | changes)


@pytest.fixture(scope="module")
def run() -> VaspRun:
    return read_run(SOURCE)


def frame_of(run: VaspRun, step: int, order: np.ndarray | None = None, charge: int = 0) -> Frame:
    """An ionic step as a frame, its atoms in another order if one is given."""
    order = np.arange(len(run.numbers)) if order is None else order
    numbers = run.numbers[order]
    return Frame(
        numbers,
        run.steps[step].positions_A[order],
        run.steps[step].cell_A,
        DefectKey("i_Cd_3", charge),
        lowest_multiplicity(numbers, charge),
        Origin.START,
        "i_Cd_3/x",
    )


def raw_step(step: int) -> tuple[float, np.ndarray]:
    """Energy and forces of a step by regular expression, without any library."""
    text = gzip.decompress(SOURCE.read_bytes()).decode("latin-1")
    block = re.findall(r"<calculation>.*?</calculation>", text, re.DOTALL)[step]
    forces = re.search(r'<varray name="forces" >(.*?)</varray>', block, re.DOTALL).group(1)
    energies = re.findall(r'<i name="e_fr_energy">\s*(\S+)\s*</i>', block)
    rows = re.findall(r"<v>(.*?)</v>", forces)
    return float(energies[-1]), np.array([row.split() for row in rows], dtype=float)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_label_is_the_real_step_s(potcars: Path, run: VaspRun, step: int) -> None:
    engine = VaspEngine(settings(potcars))
    label = engine.compute(frame_of(run, step), 0)
    energy, forces = raw_step(step)
    assert label.energy_eV == energy
    np.testing.assert_array_equal(label.forces_eV_A, forces)
    assert engine.version.startswith("vasp 5.4.4")


def test_forces_come_back_in_the_frame_s_order(potcars: Path, run: VaspRun) -> None:
    # Cd and Te in turns: VASP wants them in blocks.
    cadmium, tellurium = np.arange(33), np.arange(33, 65)
    order = np.array([x for pair in zip(cadmium, tellurium, strict=False) for x in pair] + [32])
    label = VaspEngine(settings(potcars)).compute(frame_of(run, 1, order), 0)
    _, forces = raw_step(1)
    np.testing.assert_array_equal(label.forces_eV_A, forces[order])


FAULTS = [
    ("nelect", "wrong charge", True),
    ("aexx", "exx_fraction: 0.25, not 0.345", True),
    ("cutoff", "cutoff_eV: 300.0, not 450.0", True),
    ("structure", "another structure", True),
    ("hang", "had not ended after 1 s", True),
    ("unconverged", "not converged", False),
    ("cut", "usable vasprun.xml|cut short", False),
    ("nan", "NaN", False),
    ("crash", "status 1: Error EDDDAV", False),
    ("silent", "no usable vasprun.xml", False),
]


def faulty(potcars: Path, fault: str) -> VaspEngine:
    limit = {"time_limit_s": 1.0} if fault == "hang" else {}
    return VaspEngine(settings(potcars, fault, **limit))


@pytest.mark.parametrize(("fault", "reason", "hopeless"), [f for f in FAULTS if f[0] != "nan"])
def test_what_goes_wrong_is_said(potcars: Path, run: VaspRun, fault: str, reason: str, hopeless: bool) -> None:
    with pytest.raises(CalculationFailed, match=reason) as caught:
        faulty(potcars, fault).compute(frame_of(run, 2), 0)
    assert caught.value.hopeless is hopeless


@pytest.mark.parametrize(
    ("charge", "multiplicity", "functional", "reason", "hopeless"),
    [
        (0, 1, "pbe", "exx_fraction: 0.345, not 0.0", True),
        (2, 1, "hse06", r"NELECT makes it \+0 instead of \+2", True),
        (0, 3, "hse06", "multiplicity 1 instead of 3", False),
    ],
)
def test_the_answer_to_another_question_is_refused(
    potcars: Path,
    run: VaspRun,
    charge: int,
    multiplicity: int,
    functional: str,
    reason: str,
    hopeless: bool,
) -> None:
    frame = replace(frame_of(run, 2, charge=charge), multiplicity=multiplicity)
    with pytest.raises(CalculationFailed, match=reason) as caught:
        VaspEngine(settings(potcars, functional=functional)).compute(frame, 0)
    assert caught.value.hopeless is hopeless


def test_the_stand_in_answers_nothing_that_vasp_did_not_compute(potcars: Path, run: VaspRun, tmp_path: Path) -> None:
    frame = frame_of(run, 2)
    moved = frame.moved(frame.positions_A + np.eye(65, 3) * 0.01, origin=Origin.RATTLE)
    with pytest.raises(CalculationFailed, match="never saw this POSCAR"):
        VaspEngine(settings(potcars)).compute(moved, 0)
    command = [sys.executable, str(REPLAY), str(SOURCE)]
    empty = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (empty.returncode, empty.stderr.strip()) == (1, "no INCAR")


def test_an_impossible_spin_is_refused_before_vasp_runs(potcars: Path, run: VaspRun) -> None:
    # 588 electrons cannot have one unpaired.
    frame = replace(frame_of(run, 2), multiplicity=2)
    with pytest.raises(CalculationFailed, match=r"multiplicity 2 .* 588 valence") as caught:
        VaspEngine(settings(potcars, command="vasp_nowhere")).compute(frame, 0)
    assert caught.value.hopeless


@pytest.mark.parametrize(("fault", "reason", "hopeless"), FAULTS)
def test_a_failure_is_a_record_and_not_trained_on(
    potcars: Path, run: VaspRun, tmp_path: Path, fault: str, reason: str, hopeless: bool
) -> None:
    store = LabelStore(tmp_path / "labels")
    record = label_frame(frame_of(run, 2), faulty(potcars, fault), store, 30.0)
    assert record.label is None
    assert not record.trainable
    assert re.search(reason, record.failure)
    assert len(store.calls()) == (1 if hopeless else len(ATTEMPTS))


@pytest.mark.parametrize(
    ("charge", "multiplicity", "spin"),
    [(0, 1, (1, None)), (1, 2, (2, 1)), (-1, 2, (2, 1)), (2, 1, (1, None)), (0, 3, (2, 2))],
)
def test_vasp_finds_the_electrons_and_the_spin_of_the_frame(
    potcars: Path,
    run: VaspRun,
    tmp_path: Path,
    charge: int,
    multiplicity: int,
    spin: tuple[int, int | None],
) -> None:
    command = f'sh -c "cp INCAR KPOINTS {tmp_path}"'
    frame = replace(frame_of(run, 0, charge=charge), multiplicity=multiplicity)
    with pytest.raises(CalculationFailed, match="no usable vasprun"):
        VaspEngine(settings(potcars, command=command)).compute(frame, 0)
    incar = Incar.from_file(tmp_path / "INCAR")
    # A positive defect has lost electrons.
    assert incar["NELECT"] == 33 * 12 + 32 * 6 - charge
    assert (incar["ISPIN"], incar.get("NUPDOWN")) == spin
    assert Kpoints.from_file(tmp_path / "KPOINTS").kpts == [(1, 1, 1)]


def test_the_last_rung_starts_again_from_warm_wave_functions(potcars: Path, run: VaspRun, tmp_path: Path) -> None:
    command = f'sh -c "cat INCAR >> {tmp_path}/seen; echo == >> {tmp_path}/seen"'
    with pytest.raises(CalculationFailed, match="no usable vasprun"):
        VaspEngine(settings(potcars, command=command)).compute(frame_of(run, 0), len(ATTEMPTS) - 1)
    texts = (tmp_path / "seen").read_text().split("==\n")[:2]
    hot, cold = (Incar.from_str(text) for text in texts)
    assert (hot["SIGMA"], hot["LWAVE"]) == (0.2, True)
    # Its smearing is that of every other label.
    assert (cold["SIGMA"], cold["LWAVE"], cold["ISTART"]) == (0.05, False, 1)


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
    np.testing.assert_allclose(poscar.structure.cart_coords, frame.positions_A[vasp_order(frame.numbers)], atol=1e-9)
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


def test_a_potcar_of_another_element_is_no_part_of_a_label(potcars: Path) -> None:
    both = VaspEngine(settings(potcars))
    cadmium, tellurium = np.array([48]), np.array([52])
    other = json.loads(both.settings_of(cadmium))
    assert [element for element, _ in other.pop("potcars")] == ["Cd"]
    rest = json.loads(both.settings_json)
    assert [element for element, _ in rest.pop("potcars")] == ["Cd", "Te"]
    assert other == rest
    assert both.settings_of(cadmium) != both.settings_of(tellurium)
    assert both.settings_of(np.array([52, 48])) == both.settings_json


def test_cycles_are_the_user_s_in_the_first_rung(potcars: Path, tmp_path: Path) -> None:
    from defectscape.engines.vasp import STEPS
    from defectscape.engines.vasp_input import vasp_incar

    frame = Frame([48, 52], np.eye(2, 3), np.eye(3) * 6, DefectKey("v_Cd", 0), 1, Origin.START, "v_Cd/x")
    for given, cycles in (({}, 100), ({"NELM": 300}, 300)):
        tags = vasp_incar(frame, settings(potcars, incar=given), 18.0) | STEPS[0][0]
        assert tags["NELM"] == cycles


def test_missing_and_wrong_files_are_named(potcars: Path) -> None:
    with pytest.raises(EngineError, match="POTCAR of Cd"):
        VaspEngine(settings(potcars / "none"))
    with pytest.raises(EngineError, match="the study says PAW_PBE Cd_GW"):
        VaspEngine(settings(potcars, potcar_titles={"Cd": "PAW_PBE Cd_GW 01Jan2000"}))


def test_a_missing_program_is_named(potcars: Path, run: VaspRun) -> None:
    with pytest.raises(EngineError, match="vasp_nowhere"):
        VaspEngine(settings(potcars, command="vasp_nowhere")).compute(frame_of(run, 0), 0)


@pytest.mark.parametrize("name", ["NELECT", "ispin", "NSW", "MAGMOM", "AEXX", "GGA", "a b"])
def test_tags_that_are_ours_are_refused(potcars: Path, name: str) -> None:
    with pytest.raises(ValidationError, match=r"follows from the frame|not an INCAR tag"):
        settings(potcars, incar={name: 1})


def test_a_relaxation_s_inputs_hold_no_licensed_file(potcars: Path, run: VaspRun) -> None:
    files = VaspEngine(settings(potcars)).relaxation_inputs(frame_of(run, 0), 0.01)
    assert set(files) == {"INCAR", "POSCAR", "KPOINTS", "POTCAR.titles"}
    tags = dict(line.split(" = ") for line in files["INCAR"].splitlines() if " = " in line)
    tags = {name.strip(): value.strip() for name, value in tags.items()}
    assert (tags["NSW"], tags["IBRION"], tags["EDIFFG"]) == ("200", "2", "-0.01")
    assert float(tags["NELECT"]) == 588.0
    assert len(files["POTCAR.titles"].splitlines()) == 2


# Real vasprun.xml files: every step, the charge, the level of theory; also of a run that was killed.


FOLDER = ROOT / "tests/data/vasp"
RUNS = {
    "cdte_Cd_i_C3v_0": (3, True, True),
    "cdte_Cd_i_Td_Te_0": (2, True, True),
    "mgo_Mg_O_0": (2, False, False),
    "mgo_bulk": (3, True, True),
}
"""Whole ionic steps, whether the file is whole, whether the relaxation converged."""


def raw(name: str) -> str:
    path = FOLDER / name / "vasprun.xml.gz"
    return gzip.decompress(path.read_bytes()).decode("latin-1")


@pytest.mark.parametrize("name", RUNS)
def test_every_whole_step_is_read(name: str) -> None:
    steps, complete, relaxed = RUNS[name]
    run = read_run(FOLDER / name / "vasprun.xml.gz")
    assert (len(run.steps), run.complete, run.relaxed) == (steps, complete, relaxed)
    assert (run.charge, run.multiplicity) == (0.0, 1)
    assert all(step.converged for step in run.steps)
    blocks = re.findall(r"<calculation>.*?</calculation>", raw(name), re.DOTALL)
    for index in (0, steps - 1):
        energy = float(re.findall(r'"e_fr_energy">\s*(\S+)', blocks[index])[-1])
        assert run.steps[index].label.energy_eV == energy
        rows = blocks[index].partition('<varray name="forces" >')[2].partition("</varray>")[0]
        forces = np.array([row.split() for row in re.findall(r"<v>(.*?)</v>", rows)], dtype=float)
        np.testing.assert_array_equal(run.steps[index].label.forces_eV_A, forces)


def test_the_stress_has_the_sign_of_ase() -> None:
    run = read_run(FOLDER / "mgo_bulk/vasprun.xml.gz")
    block = re.findall(r'<varray name="stress" >(.*?)</varray>', raw("mgo_bulk"), re.DOTALL)[0]
    kbar = np.array([row.split() for row in re.findall(r"<v>(.*?)</v>", block)], dtype=float)
    assert abs(kbar[0, 0]) > 1.0
    np.testing.assert_allclose(run.steps[0].label.stress_eV_A3, -kbar * 1e8 / 1.602176634e11, rtol=1e-6)


def test_the_stress_is_the_work_per_volume_of_a_cell_that_relaxes() -> None:
    """MgO shrinks and swells on its way; its energy follows dE = stress dV, whatever VASP's sign is."""
    steps = read_run(FOLDER / "mgo_bulk/vasprun.xml.gz").steps
    volumes = [abs(np.linalg.det(step.cell_A)) for step in steps]
    assert volumes[0] > volumes[2] > volumes[1]
    for one, two in ((0, 1), (1, 2)):
        pulls = [np.trace(steps[k].label.stress_eV_A3) / 3 for k in (one, two)]
        work = (pulls[0] + pulls[1]) / 2 * (volumes[two] - volumes[one])
        gain = steps[two].label.energy_eV - steps[one].label.energy_eV
        assert gain == pytest.approx(work, rel=0.05)


def test_band_edges_are_those_of_the_last_step_alone() -> None:
    run = read_run(FOLDER / "mgo_bulk/vasprun.xml.gz")
    assert run.steps[0].label.vbm_eV is None
    label = run.steps[-1].label
    assert 4.0 < label.cbm_eV - label.vbm_eV < 5.5


def test_levels_differ_by_name() -> None:
    cdte = read_run(FOLDER / "cdte_Cd_i_C3v_0/vasprun.xml.gz").theory
    assert cdte.differences(read_run(FOLDER / "cdte_Cd_i_Td_Te_0/vasprun.xml.gz").theory) == []
    text = "; ".join(cdte.differences(read_run(FOLDER / "mgo_Mg_O_0/vasprun.xml.gz").theory))
    for telling in (
        "gga: PE, not PS",
        "exx_fraction: 0.345, not 0.0",
        "kpoints: (1, 1, 1), not (2, 2, 2)",
    ):
        assert telling in text


@pytest.mark.parametrize("after", ["<scstep>", '<varray name="forces" >', '<i name="e_wo_entrp">'])
def test_a_step_that_was_being_written_is_left_out_alone(tmp_path: Path, after: str) -> None:
    text = raw("mgo_bulk")
    path = tmp_path / "vasprun.xml"
    path.write_text(text[: text.rindex(after) + len(after)], encoding="latin-1")
    cut, whole = read_run(path), read_run(FOLDER / "mgo_bulk/vasprun.xml.gz")
    assert (cut.complete, cut.relaxed) == (False, False)
    energies = [step.label.energy_eV for step in whole.steps]
    assert [step.label.energy_eV for step in cut.steps] == energies[:2]


@pytest.mark.parametrize("length", [0, 200, 20_000])
def test_a_file_without_a_whole_step_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "vasprun.xml"
    path.write_text(raw("mgo_bulk")[:length], encoding="latin-1")
    with pytest.raises(LabelError, match=r"vasprun\.xml"):
        read_run(path)


@pytest.mark.parametrize("damage", ["half", "tail", "bytes", "empty", "text"])
def test_damaged_archives_are_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    content = (FOLDER / "mgo_bulk/vasprun.xml.gz").read_bytes()
    path = tmp_path / "vasprun.xml.gz"
    path.write_bytes(
        {
            "half": content[: len(content) // 2],
            "tail": content[:-4],
            "empty": b"",
            "text": b"hello",
            "bytes": content[:3000] + b"\xff" * 40 + content[3040:],
        }[damage]
    )
    with pytest.raises(LabelError, match=r"cannot be read|is empty, or no vasprun.xml") as caught:
        read_run(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fixed", "multiplicity"),
    [("      0.00000000", 1), ("      2.00000000", 3), ("     -1.00000000", None)],
)
def test_the_spin_of_a_run_that_was_cut_short_is_the_one_that_was_fixed(
    tmp_path: Path, fixed: str, multiplicity: int | None
) -> None:
    text = raw("mgo_Mg_O_0")
    assert 'name="NUPDOWN">      0.00000000' in text
    path = tmp_path / "vasprun.xml"
    path.write_text(text.replace('name="NUPDOWN">      0.00000000', f'name="NUPDOWN">{fixed}'), "latin-1")
    assert read_run(path).multiplicity == multiplicity


def test_a_wrong_electron_count_is_a_charge(tmp_path: Path) -> None:
    path = tmp_path / "vasprun.xml"
    text = raw("mgo_bulk")
    assert 'name="NELECT">      8.00000000' in text
    path.write_text(text.replace('"NELECT">      8.0', '"NELECT">      7.0'), encoding="latin-1")
    assert read_run(path).charge == 1.0
