"""Real vasprun.xml files: every step, the charge, the level of theory; also of a run that was killed."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.errors import LabelError
from defectscape.engines.vasp_output import read_run
from support import ROOT

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
