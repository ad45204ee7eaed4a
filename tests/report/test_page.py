"""The page: what it holds, that it loads nothing, and how a browser shows it."""

import base64
import io
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from defectscape.report.figures.study import study_figures
from defectscape.report.page import read_geometries, render_report, write_report
from defectscape.report.structures import structure_views
from defectscape.report.tables.study import all_tables
from defectscape.summary.schema import UnfinishedRow
from support.summary_builder import host_test, over_prior

# The page: answers first, holds every number, loads nothing, executes nothing it was given.


LOADING = {"script", "img", "iframe", "source", "video", "audio", "embed", "object", "input"}

INLINE = {"a", "code", "sub", "strong", "small"}


def squeezed(text):
    """Runs of blanks as one; the narrow blank inside numbers stays."""
    return re.sub(r"[ \t\n]+", " ", text)


class Scan(HTMLParser):
    """Tags, attributes, and the text outside scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.depth = [], [], 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.depth += tag in ("script", "style")

    def handle_endtag(self, tag):
        self.depth -= tag in ("script", "style")
        if tag not in INLINE:
            self.text.append(" ")

    def handle_data(self, data):
        if not self.depth:
            self.text.append(data)

    @property
    def words(self):
        return squeezed("".join(self.text))


def test_sections_come_in_order_with_the_answer_first(page):
    ids = [attrs["id"] for tag, attrs in Scan(page).tags if tag == "section"]
    assert ids == [
        "answer",
        "structures",
        "concentrations",
        "ccd",
        "evidence",
        "cost",
        "provenance",
        "glossary",
    ]
    answer = page[page.index('id="answer"') : page.index('id="structures"')]
    figures = [answer.index(f'id="plot-{name}-0"') for name in ("formation_energies", "levels")]
    assert max(figures) < answer.index("<table>")
    assert answer.index('id="ground-states"') < answer.index("<table>")


def test_page_holds_the_numbers_a_reader_looks_for(page):
    words = Scan(page).words
    for text in (
        "5 of 6 ground states verified",
        "412.7",  # gain of v_Cd in charge 0, meV
        "86.4",  # gain of Te_Cd in charge +1, meV
        "2.252",  # formation energy of v_Cd in charge 0, Cd-rich, eV
        "1.312",  # the same, Te-rich
        "0.359",  # level 0/-1 of v_Cd, eV
        "0.524",  # level +2/0 of Te_Cd, eV
        "1.678 ± 0.021 eV",  # level outside the gap
        "12.3",  # model error, meV
        "0.031",  # engine fmax, eV/A
        "9.40",  # dQ
        "37.3",  # Huang-Rhys factor
        "11.3",  # phonon energy, meV
        "0.47",  # held-out error, meV/atom
        "21.7",  # held-out force error, meV/A
        "5\u202f201",  # total core time, s
        "39.1",  # share of training, %
        "−3\u202f214.568 eV",
        "9f" * 32,
        "3.1e-09",
        "stopped: atoms 4 and 17 came closer than 1.2 A",
        "Te-Te dimer, 2.83 A",
    ):
        assert text in words, text


def test_every_cell_of_every_result_table_is_on_the_page(page, summary):
    words = Scan(page).words
    for name in (
        "ground_states",
        "levels",
        "errors",
        "ccd",
        "capture",
        "cost",
        "jobs",
        "gates",
        "failures",
    ):
        table = all_tables(summary)[name]
        for row in table.rows:
            for column, cell in zip(table.columns, row, strict=True):
                # A long text is shortened in the table; the whole is what appears on hover.
                whole = not column.download and column.brief_text(cell) == column.text(cell)
                where = words if whole else page
                assert squeezed(column.text(cell)) in where, (name, column.heading)


def test_large_gains_and_missing_verification_are_marked(page):
    marked = re.findall(r'<td class="\w mark">([^<]*)</td>', page)
    assert {"412.7", "86.4", "no"} <= set(marked)
    assert "3.1" not in marked


def test_tight_binding_is_called_what_it_is(page, summary):
    words = Scan(page).words
    assert "are not density-functional calculations" in words
    assert "where PBE and HSE06 would stand" in words
    real = {"engine": "vasp", "method": "PBE"}
    other = summary.model_copy(
        update={
            "low": summary.low.model_copy(update=real),
            "high": summary.high.model_copy(update={**real, "method": "HSE06"}),
        }
    )
    text = Scan(render_report(other, [], {})).words
    assert "density-functional" not in text
    assert "HSE06 (vasp)" in text


def test_nothing_is_loaded_from_anywhere(page):
    for tag, attrs in Scan(page).tags:
        if tag in LOADING:
            assert not attrs.get("src"), (tag, attrs)
        if tag == "link":
            assert attrs["href"].startswith("data:")
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_a_name_that_is_a_script_stays_text(summary, figures):
    evil = "<script>alert('x')</script>"
    row = summary.defects[0]
    minimum = row.minima[0].model_copy(update={"distortion": evil, "geometry_file": evil})
    wicked = summary.model_copy(
        update={
            "study": evil,
            "warnings": [evil],
            "defects": [
                row.model_copy(update={"defect": evil, "key": evil, "minima": [minimum]}),
                *summary.defects[1:],
            ],
            "levels": [level.model_copy(update={"defect": evil}) for level in summary.levels],
            "search": [point.model_copy(update={"start": evil}) for point in summary.search],
            "ccd": [ccd.model_copy(update={"defect": evil}) for ccd in summary.ccd],
            "parity": [entry.model_copy(update={"key": evil}) for entry in summary.parity],
            "model_files": ['"]); alert(1) #</pre><script>alert(2)</script>'],
            "provenance": summary.provenance.model_copy(update={"config": evil}),
        }
    )
    html = render_report(wicked, study_figures(wicked), {evil: evil})
    clean = render_report(summary, figures, {})
    count = [len(re.findall(r"<script[\s>]", text)) for text in (html, clean)]
    assert count[0] == count[1] == 1
    assert evil not in html
    assert "alert(2)</script>" not in html
    assert "&lt;script&gt;alert" in html


def test_empty_study_renders_and_says_none(bare_summary):
    html = render_report(bare_summary, study_figures(bare_summary), {})
    nothing = re.findall(r'<h[23][^>]*>([^<]*)</h[23]>\s*<p class="none">none</p>', html)
    assert nothing == [
        "Formation energies, levels and ground states",
        "Ground states",
        "Levels outside the gap",
        "All levels",
        "Chemical-potential limits",
        "Structures",
        "Configuration-coordinate diagrams",
        "Not verified",
        "Model against engine at the minima found",
        "Where each start led",
        "Failed relaxations and labels",
        "Errors on held-out frames",
        "Parity on held-out frames",
        "Gates",
        "Training of the final committee",
        "Labels",
        "Rules",
    ]
    words = Scan(html).words
    assert "Warnings: none" in words
    assert "<svg" not in html
    assert "no model files" in words


def test_geometries_travel_inside_the_page(page, geometries):
    links = {attrs["download"]: attrs["href"] for tag, attrs in Scan(page).tags if tag == "a" and "download" in attrs}
    name, text = next(iter(geometries.items()))
    href = links[name.rpartition("/")[2]]
    texts = {
        base64.b64decode(attrs["href"].partition("base64,")[2]).decode()
        for tag, attrs in Scan(page).tags
        if tag == "a" and "download" in attrs
    }
    assert href.startswith("data:text/plain")
    assert text in texts
    assert "minima/Te_Cd_+1/0.vasp" not in links


def test_snippet_names_head_and_charge_key(page):
    words = Scan(page).words
    assert 'head="ipea1"' in words
    assert '"total_charge": "total_charge"' in words
    snippet = words[words.index("from ase.io import read") : words.index("The charge shift")]
    assert '"models/final_0.model"' in snippet


def test_what_is_not_verified_is_listed(page):
    words = Scan(page).words
    assert "Ground state from the model alone: Te_Cd (+2)." in words
    assert "No gain: the unperturbed relaxation failed: Te_Cd (0)." in words


def test_written_page_is_the_same_every_time(tmp_path, summary, figures, geometries):
    first = write_report(summary, figures, tmp_path / "a" / "report.html", geometries)
    second = write_report(summary, study_figures(summary), tmp_path / "b.html", geometries)
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["report.html"]


def test_geometry_files_are_read_where_they_exist(tmp_path, summary, caplog):
    name = summary.defects[0].geometry_file
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("CdTe\n1.0\n")
    assert read_geometries(summary, tmp_path) == {name: "CdTe\n1.0\n"}
    assert "is missing" in caplog.text


def test_every_figure_is_on_the_page_once(page, figures):
    counts = Counter(figure.section for figure in figures)
    expected = [f"plot-{section}-{i}" for section, count in counts.items() for i in range(count)]
    found = [attrs["id"] for tag, attrs in Scan(page).tags if tag == "svg"]
    assert sorted(found) == sorted(expected)


def test_ids_do_not_clash_and_references_resolve(page):
    attributes = [attrs for _, attrs in Scan(page).tags]
    ids = Counter(attrs["id"] for attrs in attributes if "id" in attrs)
    assert ids.most_common(1)[0][1] == 1
    references = {
        found
        for attrs in attributes
        for name in ("href", "clip-path")
        for found in re.findall(r"^#(.+)$|^url\(#(.+)\)$", attrs.get(name) or "")
    }
    assert len(references) > 100
    assert {one or other for one, other in references} <= set(ids)


def test_page_is_small(page):
    assert len(page.encode()) < 600_000


def test_the_page_says_what_stands_under_the_model(summary, page, figures, geometries):
    made = render_report(over_prior(summary), figures, geometries)
    assert "The prior under the model" not in page
    assert "IPEA1-xTB (tblite) in the charge of each state. Its energies and forces were taken off" in made
    assert "asked for 120 labelled frames and failed for 2, which no model was trained on" in made
    assert "2: SCF did not converge &lt;here&gt;" in made
    assert "A plain MACECalculator gives that part alone" in made
    assert "<td>the prior</td>" in made or ">the prior<" in made
    assert "# what was learned over the prior, eV" in made


def test_the_page_says_how_the_host_was_tested(summary, page, figures, geometries):
    assert "Stability not tested (host.stability): a defect’s gain may be the crystal’s" in Scan(page).words
    test = host_test()
    for stable, words in (
        (True, "Stability 3 distortions"),
        (False, "Stability Not the lowest structure. 3 distortions"),
    ):
        host = summary.host.model_copy(update={"test": test.model_copy(update={"stable": stable})})
        tested = render_report(summary.model_copy(update={"host": host}), figures, geometries)
        assert words in Scan(tested).words


def test_a_summary_of_an_earlier_version_has_no_prior(summary):
    content = summary.model_dump(mode="json")
    del content["prior"]
    assert type(summary).model_validate(content).prior is None


def test_a_partial_page_adds_what_it_lacks_and_changes_nothing_else(summary, page, figures, geometries):
    missing = UnfinishedRow(
        group="v_Cd.+1", keys=["v_Cd_+1"], stage="train 0 1", state="failed", reason="no <frames>.", log="logs/t.log"
    )
    made = render_report(summary.model_copy(update={"unfinished": [missing]}), figures, geometries)
    whole = page.replace("<title>", "<title>Partial, ", 1).splitlines()
    lines = iter(made.splitlines())
    assert all(line in lines for line in whole), "a line of the whole page is not there, or not in its place"
    text = squeezed(" ".join(Scan(made.partition("<body>")[2]).text)).strip()
    text = text.removeprefix("Skip to the answer ")
    assert text.startswith("Partial: the finished defects of cdte-test-data alone, without v_Cd (+1).")
    for line in (
        "v_Cd (+1): stopped by the job train 0 1 (no <frames>). Log: logs/t.log",
        "v_Cd: the formation energies of v_Cd (+1), and the level +1/0; which of its other levels are stable is said",
        "Partial: concentrations and Fermi level need v_Cd (+1), too.",
        "Partial: diagrams and captures that begin or end at v_Cd (+1) are not here.",
    ):
        assert line in text
        assert line not in squeezed(" ".join(Scan(page).text))


# The page in a real browser: scripts run, structures are drawn, nothing is complained of.


def poscar(move_A: float = 0.0) -> str:
    """CdTe without the cadmium at the origin, one neighbour moved."""
    atoms = bulk("CdTe", "zincblende", a=6.5, cubic=True).repeat(2)
    del atoms[0]
    nearest = int(np.argmin(np.linalg.norm(atoms.positions, axis=1)))
    atoms.positions[nearest] *= 1 - move_A / np.linalg.norm(atoms.positions[nearest])
    text = io.StringIO()
    ase.io.write(text, atoms, format="vasp", direct=True, sort=True)
    return text.getvalue()


@pytest.fixture
def drawn(summary):
    """The summary with sites, and geometries of all ground states."""
    rows = [row.model_copy(update={"site_frac": [0.0, 0.0, 0.0]}) for row in summary.defects]
    return summary.model_copy(update={"defects": rows}), {
        row.geometry_file: poscar(0.1 * number) for number, row in enumerate(rows)
    }


def test_atoms_around_the_site_are_drawn_with_their_bonds(drawn) -> None:
    summary, geometries = drawn
    views = structure_views(summary, geometries)
    assert len(views) == len(summary.defects)
    data = json.loads(views[0].data)
    distances = np.linalg.norm(np.array([atom[1:] for atom in data["atoms"]]), axis=1)
    assert 0 < distances.min() < distances.max() < 6.0
    # 4 neighbours at 2.8 A, 12 at 4.6 A, 12 at 5.4 A, and the site is empty.
    assert views[0].atoms == len(data["atoms"]) == 28
    names = [element["name"] for element in data["elements"]]
    assert sorted(names) == ["Cd", "Te"]
    for i, j in data["bonds"]:
        kinds = {names[data["atoms"][k][0]] for k in (i, j)}
        assert kinds == {"Cd", "Te"}


def test_a_geometry_that_cannot_be_read_is_left_out(drawn) -> None:
    summary, geometries = drawn
    first = summary.defects[0].geometry_file
    views = structure_views(summary, {**geometries, first: "nothing\n"})
    assert len(views) == len(summary.defects) - 1


PROBE = """<script>
const said = {hit: 0, missed: [], wide: document.documentElement.scrollWidth - innerWidth};
for (const title of document.querySelectorAll("#plot-levels-0 title, #plot-verification-0 title")) {
  title.parentNode.scrollIntoView({block: "center", inline: "center"});
  const box = title.parentNode.getBoundingClientRect();
  const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  if (at && title.parentNode.contains(at)) { said.hit++; } else { said.missed.push(title.textContent); }
}
const text = document.querySelector("svg.plot text");
said.pixels = parseFloat(getComputedStyle(text).fontSize) * text.getCTM().a;
said.drawn = Array.from(document.querySelectorAll("canvas.structure"), c => Number(c.dataset.drawn));
parent.postMessage(JSON.stringify(said), "*");
</script>"""
"""Looks for the value under the pointer, what sticks out of the window, the size of text, drawn structures."""


@pytest.mark.parametrize(("width", "pixels"), [(1200, 10.8), (380, 9.9)])
def test_a_browser_draws_it_without_complaint(
    drawn, figures, in_browser, tmp_path: Path, width: int, pixels: float
) -> None:
    summary, geometries = drawn
    page = write_report(summary, figures, tmp_path / "report.html", geometries)
    said = in_browser(page, width, PROBE)
    assert said["drawn"] == [view.atoms for view in structure_views(summary, geometries)]
    in_gap = sum(row.in_gap for row in summary.levels)
    verified = sum(m.model_error_eV is not None for row in summary.defects for m in row.minima)
    assert said["hit"] == in_gap + verified, said["missed"]
    assert said["wide"] <= 0
    assert said["pixels"] == pytest.approx(pixels, abs=0.3)
