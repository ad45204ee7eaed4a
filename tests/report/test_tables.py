"""Tables of the report, what they say of calibration and upper bounds, and the model's card."""

import csv
import json

import pytest

from defectscape.report.facts import key_facts
from defectscape.report.figures.errors import coverage_bars, draw_calibration
from defectscape.report.figures.levels import level_marks
from defectscape.report.model_card import model_card
from defectscape.report.names import charge_text
from defectscape.report.page import render_report
from defectscape.report.tables.model import calibration, level_tests
from defectscape.report.tables.study import all_tables, write_tables
from defectscape.report.tables.table import Column, Table, number
from defectscape.summary.provenance import unrelaxed
from defectscape.summary.schema import Summary
from support.summary_builder import over_prior

# Tables: units in every heading, raw values in files, sensible digits for reading.


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


def test_what_rests_on_an_open_state_is_marked(summary):
    """In the table of levels, in the level diagram, and in the first fact of the page."""
    rows = [row.model_copy(update={"status": "certain"}) for row in summary.defects]
    level = next(row for row in summary.levels if row.in_gap)
    sure = summary.model_copy(update={"defects": rows})
    assert not any(row[-1] for row in all_tables(sure)["levels"].rows)
    assert key_facts(sure)[0].text == f"ground states verified; {len(rows)} certain, 0 open"
    states = [
        row.model_copy(update={"status": "open"})
        if (row.defect, row.charge) == (level.defect, level.lower_charge)
        else row
        for row in rows
    ]
    open_ = sure.model_copy(update={"defects": states})
    marked = {row[:3]: row[-1] for row in all_tables(open_)["levels"].rows if row[-1]}
    assert marked[level.defect, level.upper_charge, level.lower_charge] == charge_text(level.lower_charge)
    assert all(name == level.defect and level.lower_charge in charges for name, *charges in marked)
    drawn = {(mark.level_eV, bool(mark.open_states)) for mark in level_marks(open_)}
    assert (level.level_eV, True) in drawn
    assert key_facts(open_)[0].value == f"{len(rows) - 1} of {len(rows)}"
    assert key_facts(open_)[0].text.endswith("1 open")
    assert summary.defects[0].trust in {"verified", "open"}, "a summary of an earlier version"


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
        "Pairs per",
        "ultiplicity",
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
    assert rows["Te_Cd", "2"]["Status"] == "open"


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


# What the page says of the calibration.


def test_an_uncalibrated_quantity_has_no_factor_but_a_reason(summary) -> None:
    rows = calibration(summary).rows
    assert [row[4] for row in rows] == [2.1, 1.7, None]
    assert rows[2][-1] == "4 validation frames, 6 are needed"
    assert [row[9] for row in rows] == [70.0, 70.0, None]


def test_levels_are_counted_in_bars(summary) -> None:
    rows = level_tests(summary).rows
    assert rows[0][3] == -21.0
    assert abs(rows[0][5] - 0.021 / 0.034) < 1e-9
    assert rows[1][4:] == (None, None)


def test_the_figure_shows_coverage_of_the_high_fidelity_alone(summary) -> None:
    heights = [bar.get_height() for bar in draw_calibration(summary).axes.patches]
    assert heights == [36.0, 61.0, 36.0, 61.0, 70.0, 93.0, 70.0, 93.0]
    bare = summary.model_copy(update={"calibration": []})
    assert coverage_bars(bare) == ()


def test_the_page_says_how_it_was_calibrated_or_nothing(summary) -> None:
    assert "Calibration of the committee" in render_report(summary, [], {})
    bare = summary.model_copy(update={"calibration": [], "level_tests": []})
    page = render_report(bare, [], {})
    assert "Calibration of the committee" not in page
    assert "what the model alone would have said" not in page


# Ground states on which the engine's forces are not down are called upper bounds.


def test_forces_above_the_limit_are_named_with_their_size(summary: Summary):
    (line,) = unrelaxed(summary.defects, 0.03)
    verified = [row.key for row in summary.defects if row.verified]
    assert verified
    assert all(f"{key} (0.03 eV/A)" in line for key in verified)
    assert not any(f"{row.key} (" in line for row in summary.defects if not row.verified)
    assert "above 0.03 eV/A" in line


def test_no_line_where_the_engine_is_at_rest(summary: Summary):
    assert unrelaxed(summary.defects, 0.05) == []


# The model's card names its limits and gives the errors of the summary.


def test_the_card_says_what_the_model_is_and_is_not(summary):
    card = model_card(summary)
    for name in summary.model_files:
        assert f"`{name}`" in card
    assert "charges -2, -1, 0, +1, +2" in card
    assert f"SHA-256 `{summary.provenance.config_sha256}`" in card
    assert "It refuses other charges" in card
    for warning in summary.warnings:
        assert f"* {warning}" in card
    rows = [line for line in card.splitlines() if line.startswith(f"| {summary.high.name} |")]
    assert len(rows) == sum(row.fidelity == summary.high.name for row in summary.errors)


def test_the_card_of_a_model_over_a_prior_says_what_the_files_lack(summary):
    card = model_card(over_prior(summary))
    assert "* **Prior**: IPEA1-xTB (tblite) in the charge of each state." in card
    assert "gives that part alone, which is no energy of anything" in card
    assert 'DefectCalculator.of_study("study.yaml", "results", charge=-1)' in card
    assert "**Prior**" not in model_card(summary)


# Pairs.


def test_binding_energies_say_what_negative_means_and_why_there_is_none(tmp_path, summary):
    write_tables(summary, tmp_path)
    bound, none = read(tmp_path / "binding.csv")
    assert float(bound["Binding energy, negative: bound (eV)"]) == -0.712
    assert (bound["Partners apart"], bound["Verified"]) == ("v_Cd_-2 + Cl_Te_+1", "yes")
    assert (none["Binding energy, negative: bound (eV)"], none["Why there is none"]) == (
        "",
        "the study has no energy of Cl_Te",
    )
    assert "Binding energies of pairs" in render_report(summary, (), {})
    assert "Binding energies of pairs" not in render_report(summary.model_copy(update={"binding": []}), (), {})
