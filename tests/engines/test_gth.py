"""GTH tables: what is chosen, what is written, and that it is the same from everywhere."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from defectscape.cli.app import app
from defectscape.domain.errors import EngineError
from defectscape.engines.gth import (
    CP2K_TABLES,
    choose_potential,
    gth_file,
    read_potentials,
)

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
