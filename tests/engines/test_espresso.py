"""pw.x without pw.x: inputs, refusals, failures, and the GTH pseudopotentials that are written for it."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from defectscape.cli.app import app
from defectscape.domain.errors import EngineError
from defectscape.engines.base import CalculationFailed
from defectscape.engines.espresso import ATTEMPTS, STEPS, EspressoEngine
from defectscape.engines.espresso_input import Step, pw_input
from defectscape.engines.espresso_output import failure_reason, read_result
from defectscape.engines.gth import (
    CP2K_TABLES,
    choose_potential,
    gth_file,
    read_potentials,
)
from defectscape.engines.labelling import label_frame
from defectscape.engines.pseudopotentials import find_pseudopotentials
from defectscape.store.labels import LabelStore
from support.pwx import diamond, settings

# pw.x without pw.x: what is asked, what is refused, what becomes of a calculation that goes wrong.


GTH = "made up\n6 4 010101  zatom zion pspdat\n10 11 0 0 2002 0\n0.3 0\n1\n0.3 1 9.0\n"

XML = """<?xml version="1.0"?>
<root>
 <general_info><creator NAME="PWSCF" VERSION="9.9">x</creator></general_info>
 <input><dft><functional>PBE</functional></dft></input>
 <output>
  <convergence_info><scf_conv><convergence_achieved>true</convergence_achieved>
   <n_scf_steps>9</n_scf_steps></scf_conv></convergence_info>
  <atomic_structure><atomic_positions>{atoms}</atomic_positions>
   <cell><a1>{a} 0 0</a1><a2>0 {a} 0</a2><a3>0 0 {a}</a3></cell></atomic_structure>
  <dft><functional>{functional}</functional></dft>
  <total_energy><etot>-43.5</etot></total_energy>
  <band_structure><lsda>false</lsda><nelec>{electrons}</nelec>
   <ks_energies><eigenvalues>{levels}</eigenvalues></ks_energies></band_structure>
  <forces>{forces}</forces>
 </output>
</root>
"""
BOHR_A = 0.529177210903


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "C.gth").write_text(GTH)
    return tmp_path


def xml_of(frame, functional="PBE", electrons=32, shift_A=0.0, **changes) -> str:
    """pw.x's answer for a frame, right but for what is changed."""
    atoms = "".join(
        f"<atom>{' '.join(repr(float((x + shift_A) / BOHR_A)) for x in row)}</atom>" for row in frame.positions_A
    )
    levels = " ".join(str(0.01 * k) for k in range(26))
    text = XML.format(
        atoms=atoms,
        a=repr(float(frame.cell_A[0, 0] / BOHR_A)),
        functional=functional,
        electrons=electrons,
        levels=levels,
        forces="0.001 " * 3 * len(frame),
    )
    for old, new in changes.items():
        text = text.replace(f"<{old}>true</{old}>", f"<{old}>{new}</{old}>")
    return text


def fake(folder: Path, script: str) -> str:
    """A program that runs this Python text in the calculation's folder."""
    path = folder / "fake.py"
    path.write_text(script)
    return f"{sys.executable} {path}"


def lines(frame, electrons=32.0, step=STEPS[0][0], **changes) -> dict[str, str]:
    """Keywords of the input."""
    text = pw_input(frame, settings(Path("p"), **changes), electrons, step)
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def test_spin_and_charge_follow_the_frame() -> None:
    even, odd = lines(diamond(0)), lines(diamond(1), 31.0)
    assert (even["nspin"], even["tot_charge"]) == ("1", "0")
    assert "tot_magnetization" not in even
    assert (odd["nspin"], odd["tot_charge"], odd["tot_magnetization"]) == ("2", "1", "1")
    assert int(even["nbnd"]) == 16 + 10
    assert int(odd["nbnd"]) == 16 + 10


def test_the_hybrid_is_hse06_and_pbe_has_no_exact_exchange() -> None:
    pbe, hse = lines(diamond()), lines(diamond(), functional="hse06")
    assert pbe["input_dft"] == "'pbe'"
    assert not {"exx_fraction", "nqx1", "ecutfock"} & set(pbe)
    assert (hse["input_dft"], hse["exx_fraction"], hse["screening_parameter"]) == (
        "'hse'",
        "0.25",
        "0.106",
    )
    assert hse["ecutfock"] == "30.0"


def test_gamma_alone_is_asked_for_by_name() -> None:
    frame = diamond()
    gamma = pw_input(frame, settings(Path("p")), 32, Step({}))
    mesh = pw_input(frame, settings(Path("p"), kpoints=[2, 2, 2]), 32, Step({}))
    assert gamma.endswith("K_POINTS gamma\n")
    assert mesh.endswith("K_POINTS automatic\n2 2 2 0 0 0\n")


def test_keywords_of_the_user_come_last_and_text_is_quoted() -> None:
    found = lines(diamond(), keywords={"electrons": {"mixing_beta": 0.11}, "system": {"vdw_corr": "a'b"}})
    assert found["mixing_beta"] == "0.11"
    assert found["vdw_corr"] == "'a''b'"


@pytest.mark.parametrize("name", ["tot_charge", "NSPIN", "input_dft", "outdir", "ecutwfc"])
def test_keywords_that_are_ours_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="follows from the frame"):
        settings(Path("p"), keywords={"system": {name: 1}})


def test_what_is_run_where_is_no_part_of_a_label(folder: Path, tmp_path: Path) -> None:
    key = EspressoEngine(settings(folder)).settings_json
    other = tmp_path / "other"
    other.mkdir()
    (other / "renamed.gth").write_text(GTH)
    moved = settings(
        other,
        command="srun pw.x",
        scratch=str(tmp_path),
        time_limit_s=5.0,
        pseudopotentials={"C": "renamed.gth"},
        density_cutoff_Ry=120.0,
    )
    assert EspressoEngine(moved).settings_json == key
    assert EspressoEngine(settings(folder, cutoff_Ry=31.0)).settings_json != key
    (other / "renamed.gth").write_text(GTH.replace("9.0", "9.1"))
    assert EspressoEngine(moved).settings_json != key


def test_another_element_in_the_study_changes_no_label(folder: Path) -> None:
    alone = EspressoEngine(settings(folder))
    (folder / "Si.gth").write_text(GTH)
    files = {**settings(folder).pseudopotentials, "Si": "Si.gth"}
    doped = EspressoEngine(settings(folder, pseudopotentials=files))
    assert doped.settings_json != alone.settings_json
    assert doped.settings_of(np.array([6, 6])) == alone.settings_of(np.array([6, 6]))
    assert doped.settings_of(np.array([6, 14])) != alone.settings_of(np.array([6, 6]))


def test_another_pseudopotential_than_the_study_says_is_refused(folder: Path) -> None:
    with pytest.raises(EngineError, match="pseudopotential of C"):
        EspressoEngine(settings(folder, pseudo_sha256={"C": "0" * 64}))


def test_stored_labels_need_no_file_but_new_ones_do(folder: Path, tmp_path: Path) -> None:
    file = find_pseudopotentials(settings(folder))["C"]
    without = settings(tmp_path / "empty", pseudo_sha256={"C": file.sha256})
    engine = EspressoEngine(without)
    assert engine.settings_json == EspressoEngine(settings(folder)).settings_json
    with pytest.raises(EngineError, match="no such file"):
        engine.compute(diamond(), 0)
    with pytest.raises(EngineError, match="pseudos gth"):
        EspressoEngine(settings(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("text", "valence"),
    [
        ('<PP_HEADER z_valence="  5.00" />', 5.0),
        ("  1.500000000000E+01  Z valence\n", 15.0),
        (GTH, 4.0),
    ],
)
def test_valence_electrons_are_read_from_every_kind_of_file(tmp_path: Path, text: str, valence: float) -> None:
    (tmp_path / "C.gth").write_text(text)
    assert find_pseudopotentials(settings(tmp_path))["C"].valence == valence


def test_a_right_answer_is_read(folder: Path) -> None:
    frame = diamond()
    (folder / "x.xml").write_text(xml_of(frame))
    label = read_result(folder / "x.xml", frame, settings(folder), 32.0).label
    assert label.energy_eV == pytest.approx(-43.5 * 27.211386, abs=1e-3)
    assert label.forces_eV_A == pytest.approx(np.full((8, 3), 0.001 * 51.4220675), rel=1e-5)
    assert label.cbm_eV - label.vbm_eV == pytest.approx(0.01 * 27.211386, rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "reason", "hopeless"),
    [
        ({"electrons": 31}, "wrong charge", True),
        ({"functional": "PBE0"}, "wrong functional", True),
        ({"shift_A": 0.01}, "another structure", True),
        ({"convergence_achieved": "false"}, "not converged in 9", False),
    ],
)
def test_an_answer_to_another_question_is_a_failure(
    folder: Path, changes: dict[str, object], reason: str, hopeless: bool
) -> None:
    frame = diamond()
    (folder / "x.xml").write_text(xml_of(frame, **changes))
    with pytest.raises(CalculationFailed, match=reason) as caught:
        read_result(folder / "x.xml", frame, settings(folder), 32.0)
    assert caught.value.hopeless is hopeless


@pytest.mark.parametrize("text", ["", "<root>", "<root></root>", xml_of(diamond())[:900]])
def test_a_broken_answer_is_a_failure(folder: Path, text: str) -> None:
    (folder / "x.xml").write_text(text)
    with pytest.raises(CalculationFailed, match="XML"):
        read_result(folder / "x.xml", diamond(), settings(folder), 32.0)


def test_the_reason_is_pw_x_s_own() -> None:
    line = "%" * 40
    text = f"noise\n {line}\n     Error in routine cdiaghg (12):\n     bad S\n {line}\nstopping\n"
    assert failure_reason(text, 1) == "Error in routine cdiaghg (12): bad S"
    assert "after 100 iterations" in failure_reason("\n  convergence NOT achieved after 100 iterations", 2)
    assert failure_reason("", -11) == "pw.x crashed by signal 11"
    assert "status 3: last words" in failure_reason("a\nlast words\n", 3)


def test_a_crash_takes_all_attempts_and_ends_as_a_record(folder: Path, tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = f"open({str(count)!r}, 'a').write('x'); print('SCF fell over'); raise SystemExit(3)"
    engine = EspressoEngine(settings(folder, command=fake(folder, script)))
    store = LabelStore(tmp_path / "labels")
    record = label_frame(diamond(), engine, store, 30.0)
    assert not record.trainable
    assert record.failure.count("SCF fell over") == len(ATTEMPTS)
    assert len(count.read_text()) == len(ATTEMPTS)
    assert label_frame(diamond(), engine, store, 30.0).failure == record.failure
    assert len(count.read_text()) == len(ATTEMPTS)


def test_a_wrong_charge_is_not_tried_again(folder: Path, tmp_path: Path) -> None:
    (folder / "answer.xml").write_text(xml_of(diamond(), electrons=30))
    script = (
        "import os, shutil; os.makedirs('out', exist_ok=True);"
        f"shutil.copy({str(folder / 'answer.xml')!r}, 'out/label.xml')"
    )
    engine = EspressoEngine(settings(folder, command=fake(folder, script)))
    record = label_frame(diamond(), engine, LabelStore(tmp_path / "labels"), 30.0)
    assert "wrong charge" in record.failure
    assert record.rung == 0


def test_an_impossible_spin_is_refused_before_anything_runs(folder: Path) -> None:
    frame = diamond(1)
    wrong = type(frame)(frame.numbers, frame.positions_A, frame.cell_A, frame.key, 1, frame.origin, frame.family)
    with pytest.raises(CalculationFailed, match="multiplicity 1 is impossible with 31"):
        EspressoEngine(settings(folder, command="no-such-program")).compute(wrong, 0)


def test_a_missing_program_is_named(folder: Path) -> None:
    with pytest.raises(EngineError, match="no-such-program"):
        EspressoEngine(settings(folder, command="no-such-program -x")).compute(diamond(), 0)


def test_a_relaxation_s_input_is_the_label_s_with_atoms_that_move(folder: Path) -> None:
    engine = EspressoEngine(settings(folder))
    frame = diamond(-1)
    text = engine.relaxation_inputs(frame, 0.01)["pw.in"]
    assert "calculation = 'relax'" in text
    assert "tot_charge = -1" in text
    assert "&IONS" in text
    limit = float(re.search(r"forc_conv_thr = (\S+)", text).group(1))
    # 1 Ry/bohr is 25.711 eV/A.
    assert limit == pytest.approx(0.01 / 25.711, rel=1e-4)
    assert f"pseudo_dir = '{folder}'" in text
    label = pw_input(frame, engine.settings, 33.0, STEPS[0][0])
    ours = {line for line in text.splitlines() if "=" in line}
    theirs = {line for line in label.splitlines() if "=" in line}
    assert {line.split()[0] for line in theirs ^ ours} == {
        "calculation",
        "pseudo_dir",
        "forc_conv_thr",
        "nstep",
        "ion_dynamics",
    }


# GTH tables: what is chosen, what is written, and that it is the same from everywhere.


TABLE = """# made-up numbers in the form of the table
Ga GTH-PBE-q3 GTH-PBE
    2    1
     0.56000000    0
    2
     0.61000000    3     2.36932528    -0.24930015    -0.55179610
                                        0.75000000     0.29000000
                                                      -0.23000000
     0.70000000    1     0.74630500
#
Ga GTH-PBE-q13
    2    1   10
     0.49000000    2   -12.5   1.25
    4
     0.41675035    2    10.48690000    -4.92140000
                                        6.35330000
     0.56960000    0
     0.23810000    1   -16.24880000
     0.30000000    0
Ga GTH-PADE-q3
    2    1
     0.1    0
    0
"""


def test_an_entry_is_read_with_all_its_channels() -> None:
    found = read_potentials(TABLE, "Ga", "pbe")
    assert set(found) == {3, 13}
    small, large = found[3], found[13]
    assert [channel.radius_bohr for channel in small.channels] == [0.61, 0.7]
    assert small.channels[0].couplings == (
        (2.36932528, -0.24930015, -0.5517961),
        (0.75, 0.29),
        (-0.23,),
    )
    assert large.local == (-12.5, 1.25)
    assert large.radius_bohr == 0.49
    # An empty channel stands between the others and is dropped at the end.
    assert [len(channel.couplings) for channel in large.channels] == [2, 0, 1]


def test_most_electrons_are_chosen_unless_told_otherwise() -> None:
    found = read_potentials(TABLE, "Ga", "pbe")
    assert choose_potential(found, "Ga", None).valence == 13
    assert choose_potential(found, "Ga", 3).file_name == "Ga.q3.gth"
    with pytest.raises(EngineError, match="q3, q13"):
        choose_potential(found, "Ga", 5)
    with pytest.raises(EngineError, match="Xe"):
        choose_potential(read_potentials(TABLE, "Xe", "pbe"), "Xe", None)


def test_the_file_holds_every_number_in_its_place() -> None:
    lines = gth_file(read_potentials(TABLE, "Ga", "pbe")[3], "pbe").splitlines()
    assert lines[1].split()[:2] == ["31", "3"]
    # pspcod 10, pspxc 11 (PBE), lmax 1.
    assert lines[2].split()[:3] == ["10", "11", "1"]
    assert [float(x) for x in lines[3].split()] == [0.56, 0.0]
    assert lines[4] == "2"
    assert [float(x) for x in lines[5].split()] == [0.61, 3, 2.36932528, -0.24930015, -0.5517961]
    assert [float(x) for x in lines[7].split()] == [-0.23]
    assert [float(x) for x in lines[8].split()] == [0.7, 1, 0.746305]
    # One spin-orbit coupling of the p channel, zero.
    assert [float(x) for x in lines[9].split()] == [0.0]
    assert len(lines) == 10


def test_white_space_of_the_table_changes_no_file() -> None:
    other = TABLE.replace("0.56000000    0", "0.56  0   # local").replace("    2    1\n", " 2 1\n")
    for valence in (3, 13):
        one, two = (read_potentials(text, "Ga", "pbe")[valence] for text in (TABLE, other))
        assert gth_file(one, "pbe") == gth_file(two, "pbe")


def test_the_command_writes_files_and_says_what_else_there_is(tmp_path: Path) -> None:
    (tmp_path / "TABLE").write_text(TABLE)
    options = ["--table", str(tmp_path / "TABLE"), "--folder", str(tmp_path / "gth")]
    done = CliRunner().invoke(app, ["pseudos", "gth", "Ga:3", *options])
    assert done.exit_code == 0, done.output
    assert "the table also has q13" in done.output
    assert (tmp_path / "gth/Ga.q3.gth").read_text().endswith("\n")
    wrong = CliRunner().invoke(app, ["pseudos", "gth", "Ga:x", *options])
    assert isinstance(wrong.exception, EngineError)


@pytest.mark.skipif(not Path(CP2K_TABLES[0]).is_file(), reason="cp2k-data is not installed")
def test_the_installed_table_has_silicon_with_four_electrons() -> None:
    found = read_potentials(Path(CP2K_TABLES[0]).read_text(), "Si", "pbe")
    assert set(found) == {4}
    assert [len(channel.couplings) for channel in found[4].channels] == [2, 1]
