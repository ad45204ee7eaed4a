"""The page of eighteen states: tables that fit, words that are explained, columns and texts no longer than needed."""

import re
from html import unescape

import pytest

from defectscape.report.facts import not_verified, starts_tried
from defectscape.report.glossary import TERMS, anchor, term_of
from defectscape.report.page import render_report, write_report
from defectscape.report.structures import structure_text
from defectscape.report.tables.structures import minima_of
from defectscape.report.tables.study import all_tables
from defectscape.report.tables.table import Column, Table
from defectscape.summary.schema import Summary
from support.summary_builder import make_large_summary


@pytest.fixture(scope="module")
def large() -> Summary:
    return make_large_summary()


@pytest.fixture(scope="module")
def large_page(large) -> str:
    """Without its figures, which take long to draw and do not move the tables."""
    return render_report(large, (), {})


# What fits.

PROBE = """<script>
document.querySelectorAll("details").forEach(d => { d.open = true; });
const said = {tables: [], page: document.documentElement.scrollWidth - innerWidth};
for (const box of document.querySelectorAll(".scroll")) {
  said.tables.push([box.getAttribute("aria-label"), box.clientWidth, box.scrollWidth]);
}
const width = selector => document.querySelector(selector).getBoundingClientRect().width;
said.text = width("#answer > p"); said.table = width("#answer > .scroll");
const link = document.querySelector("thead a");
link.focus(); said.focused = document.activeElement === link; said.title = link.title;
const reached = Array.from(document.querySelectorAll("a, summary, .scroll, canvas"), e => e.tabIndex);
said.unreached = reached.filter(index => index < 0).length;
parent.postMessage(JSON.stringify(said), "*");
</script>"""
"""Widths of tables and of what is in them, and whether the keyboard reaches what can be used."""


def test_no_table_of_eighteen_states_scrolls_sideways_at_1200_pixels(large, in_browser, tmp_path) -> None:
    said = in_browser(write_report(large, (), tmp_path / "report.html", {}), 1200, PROBE)
    assert len(said["tables"]) > 20
    assert [name for name, there, needed in said["tables"] if needed > there] == []
    assert said["page"] <= 0
    assert said["text"] == pytest.approx(said["table"], abs=1), "text is as wide as the tables"
    assert said["focused"]
    assert said["title"] == TERMS["Defect"]
    assert said["unreached"] == 0


def test_a_telephone_scrolls_tables_and_not_the_page(large, in_browser, tmp_path) -> None:
    said = in_browser(write_report(large, (), tmp_path / "report.html", {}), 380, PROBE)
    assert any(needed > there for _, there, needed in said["tables"])
    assert said["page"] <= 0


# What is explained.


def columns(summary: Summary) -> list[Column]:
    tables = [*all_tables(summary).values(), *(minima_of(summary, row.defect) for row in summary.defects)]
    return [column for table in tables for column in table.columns]


def test_the_glossary_has_every_column_and_nothing_else(large) -> None:
    assert [column.label for column in columns(large) if column.glossary_term is None] == []
    assert set(TERMS) == {column.glossary_term for column in columns(large)}


def test_a_heading_finds_its_own_entry_before_a_shorter_one() -> None:
    assert term_of("Energy RMSE, mean removed") == "Energy RMSE, mean removed"
    assert term_of("Above lowest, model") == "Above lowest"
    assert term_of("no such column") is None
    assert len({anchor(term) for term in TERMS}) == len(TERMS)


def test_sentences_of_the_glossary_are_short() -> None:
    sentences = [part for text in TERMS.values() for part in re.split(r"(?<=[.:;])\s", text)]
    assert max(len(sentence.split()) for sentence in sentences) < 30


def test_every_heading_leads_to_its_entry_and_shows_it(large_page) -> None:
    headings = re.findall(r'<th scope="col"[^>]*><a href="#([^"]+)" title="([^"]+)">', large_page)
    assert len(headings) == large_page.count('<th scope="col"') > 100
    meanings = {anchor(term): text for term, text in TERMS.items()}
    assert all(unescape(title) == meanings[place] for place, title in headings)
    assert all(f'<div id="{place}">' in large_page for place in meanings)


def test_every_row_has_a_heading(large_page) -> None:
    bodies = "".join(re.findall(r"<tbody>.*?</tbody>", large_page, re.DOTALL))
    assert bodies.count("<tr>") == bodies.count('<th scope="row"') > 100


# What is shortened, and where it is whole.


def test_long_descriptions_are_short_in_the_table_and_whole_beside_the_structure(large, large_page) -> None:
    column = next(c for c in all_tables(large)["ground_states"].columns if c.label == "Distortion")
    text = "split with Te 1.21 A from its site, new Te-Te bond 2.79/2.91 A, breathing inward 6%"
    assert column.brief_text(text) == "split with Te 1.21 A from its site…"
    assert column.brief_text("unchanged") == "unchanged"
    assert column.brief_text("word " * 20) == "word word word word word word word…"
    assert f'<span title="{text}">' in large_page
    row = next(row for row in large.defects if row.distortion == text)
    assert structure_text(row) in unescape(large_page)
    assert f"Distortion: {text}." in structure_text(row)
    assert f"Same structure as {', '.join(row.found.same_as)}." in structure_text(row)


def test_far_atoms_are_named_only_where_some_left_their_places(large) -> None:
    told = [row.key for row in large.defects if "have left their places" in structure_text(row)]
    assert told == ["i_Te_1_0"]


def test_a_column_that_says_nothing_is_left_out_of_the_page_alone() -> None:
    heads = (Column("Defect"), Column("Doubtful", optional=True), Column("Note", optional=True))
    rows = (("v_Cd", False, None), ("v_Te", False, ""))
    assert Table("t", "t", heads, rows).for_page().rows == (("v_Cd",), ("v_Te",))
    kept = Table("t", "t", heads, (*rows, ("Te_Cd", True, ""))).for_page()
    assert [column.label for column in kept.columns] == ["Defect", "Doubtful"]
    assert kept.rows[-1] == ("Te_Cd", True)


def test_a_text_that_many_states_share_is_said_once(large) -> None:
    (line,) = starts_tried(large)
    assert line.startswith("v_Cd (0), v_Cd (−1), ")
    (open_,) = [line for line in not_verified(large) if line.startswith("Ground state open")]
    assert open_.count("its relaxation is not finished") == 1
    assert open_.count("(0)") == sum(row.trust == "open" and row.charge == 0 for row in large.defects)


def test_optional_parts_stand_in_the_answer_or_are_absent(large, large_page, bare_summary) -> None:
    bare = render_report(bare_summary, (), {})
    for heading, after in (
        ("Binding energies of pairs", 'id="answer"'),
        ("Other spin multiplicities", 'id="answer"'),
        ("Further starts", 'id="evidence"'),
    ):
        assert large_page.index(after) < large_page.index(f"<h3>{heading}</h3>")
        assert f"<h3>{heading}</h3>" not in bare
    assert large.host.test.text in large_page
