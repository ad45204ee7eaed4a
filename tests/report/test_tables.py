"""Tables: units in every heading, raw values in files, sensible digits for reading."""

import csv
import json

import pytest

from defectscape.report.tables.study import all_tables, write_tables
from defectscape.report.tables.table import Column, Table, number
from defectscape.summary.schema import Summary


def read(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_table_becomes_a_file_with_its_rows(tmp_path, summary):
    paths = write_tables(summary, tmp_path)
    assert {path.stem for path in paths} == set(all_tables(summary))
    for path in paths:
        assert len(read(path)) == len(all_tables(summary)[path.stem].rows) > 0


def test_headings_carry_units_and_values_are_not_rounded(tmp_path, summary):
    write_tables(summary, tmp_path)
    row = read(tmp_path / "ground_states.csv")[0]
    assert row["Charge (e)"] == "0"
    assert float(row["E_form at VBM, Cd-rich (eV)"]) == 2.252
    assert float(row["Gain over unperturbed (meV)"]) == pytest.approx(412.7)
    assert float(row["Engine fmax (eV/Å)"]) == 0.031
    level = read(tmp_path / "levels.csv")[0]
    assert float(level["Level above VBM (eV)"]) == summary.levels[0].level_eV
    assert level["Stable"] == "yes"
    error = read(tmp_path / "errors.csv")[0]
    assert float(error["Force RMSE (meV/Å)"]) == 21.7
    assert error["Charge (e)"] == ""


def test_numeric_columns_without_unit_are_counts_or_ratios(summary):
    allowed = (
        "Minima",
        "Rank",
        "steps",
        "step",
        "Frames",
        "Failed",
        "Tried",
        "Labels",
        "Jobs",
        "S ",
        "Families",
        "Orientations",
        "Factor",
        "±",
        "Test frames",
        "Rank correlation",
        "In units of the bar",
        "log₁₀",
        "Engine points",
        "Coulomb factor",
    )
    for table in all_tables(summary).values():
        for column in table.columns:
            if column.numeric and not column.unit:
                assert any(word in column.label for word in allowed), column.label


def test_missing_values_are_empty_in_files(tmp_path, summary):
    write_tables(summary, tmp_path)
    rows = {(row["Defect"], row["Charge (e)"]): row for row in read(tmp_path / "ground_states.csv")}
    assert rows["Te_Cd", "2"]["Model error (meV)"] == ""
    assert rows["Te_Cd", "0"]["Gain over unperturbed (meV)"] == ""
    assert rows["Te_Cd", "2"]["Verified"] == "no"


def test_what_was_found_has_a_name_and_says_where_else(tmp_path, summary):
    write_tables(summary, tmp_path)
    rows = {(row["Defect"], row["Charge (e)"]): row["Found"] for row in read(tmp_path / "ground_states.csv")}
    assert rows["v_Cd", "0"] == "Te dimer (2.83 A); same as v_Cd_-1"
    assert rows["v_Cd", "-2"] == "v_Cd"
    # Summaries of studies that ended before names were told are read, and show none.
    content = json.loads(summary.model_dump_json())
    for defect in content["defects"]:
        del defect["found"]
    older = Summary.model_validate(content)
    write_tables(older, tmp_path)
    assert {row["Found"] for row in read(tmp_path / "ground_states.csv")} == {""}


def test_totals_of_the_ledger_are_sums(summary):
    rows = [row for row in all_tables(summary)["cost"].rows if row[0] == "total"]
    assert rows[-1][1:4] == ("all", 1752, 11)
    assert rows[-1][4] == pytest.approx(sum(row.core_s for row in summary.cost))
    assert rows[-1][4] == pytest.approx(sum(row[4] for row in rows[:-1]))


def test_shares_of_wall_time_add_up(summary):
    assert sum(row[-1] for row in all_tables(summary)["jobs"].rows) == pytest.approx(100)


def test_empty_study_writes_headings_only(tmp_path, bare_summary):
    for path in write_tables(bare_summary, tmp_path):
        assert len(path.read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (-0.0001, 3, "0.000"),
        (-1.5, 1, "−1.5"),
        (12345.6, 0, "12\u202f346"),
        (0.0, 1, "0.0"),
        (-1000.0, 0, "−1\u202f000"),
    ],
)
def test_numbers_for_reading(value, digits, text):
    assert number(value, digits) == text


def test_cells_for_reading():
    charge = Column("Charge", "e", charge=True)
    assert [charge.text(q) for q in (2, 0, -1, None)] == ["+2", "0", "−1", "–"]
    assert Column("Verified").text(False) == "no"
    bar = Column("Standard uncertainty", "eV", 3, bar=True)
    assert [bar.text(value) for value in (0.00008, 0.0006, 0.0)] == ["< 0.001", "0.001", "0.000"]
    assert charge.heading == "Charge (e)"


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="2 cells, 1 columns"):
        Table("t", "t", (Column("a"),), ((1, 2),))
