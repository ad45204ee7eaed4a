"""docs/reliability.md has a row for every mistake and every fault that a test makes happen, and none besides."""

import re
from pathlib import Path

import pytest

from support import ROOT
from support.mistakes import END, HEAD, PAGE, SECTIONS, TABLE, abbreviated, declared, mistake, section_lines

# docs/reliability.md has a row for every mistake that a test records, and none besides.


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page of one row in its first section."""
    path = tmp_path / "page.md"
    tables = [f"<!-- mistakes: {name} -->\n" + "\n".join(HEAD) + f"\n{END}\n" for name in SECTIONS]
    path.write_text("Before.\n" + "between\n".join(tables).replace(END, f'| a | "b" | check | c |\n{END}', 1))
    return path


def test_the_page_s_rows_are_those_that_tests_record() -> None:
    text = PAGE.read_text()
    rows = [
        (name, line.removeprefix("| ").partition(" | ")[0]) for name in SECTIONS for line in section_lines(text, name)
    ]
    recorded = list(declared(ROOT / "tests"))
    assert sorted(rows) == sorted(recorded)
    assert len(set(rows)) == len(rows) > 40


def test_a_row_that_differs_fails_its_test(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TABLE, raising=False)
    arguments = {"said": "b", "when": "check", "right": "c", "page": page}
    call = mistake  # by another name it is no row of the page
    call("study", "a", **arguments)
    for name in ("said", "when", "right"):
        with pytest.raises(AssertionError, match="rewrites it"):
            call("study", "a", **(arguments | {name: "else"}))
    for section, given in (("study", "b"), ("hosts", "a")):
        with pytest.raises(AssertionError, match="rewrites it"):
            call(section, given, **arguments)


def test_rows_are_written_into_their_place_and_nothing_else_changes(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TABLE, "write")
    before = page.read_text()
    call = mistake
    call("study", "a", said="new", when="run", page=page)
    call("hosts", "x", said=("one", "", "one"), when="run", page=page)
    call("study", "z", said=ValueError("z"), when="run", page=page)
    assert section_lines(page.read_text(), "study") == ['| a | "new" | run | - |', '| z | "z" | run | - |']
    assert section_lines(page.read_text(), "hosts") == ['| x | "one"; nothing | run | - |']
    rest = [line for line in page.read_text().splitlines() if not line.startswith(("| a", "| z", "| x"))]
    assert rest == [line for line in before.splitlines() if not line.startswith("| a")]


@pytest.mark.parametrize(
    ("message", "short"),
    [
        ("/tmp/a-1/b/host.vasp: Cd/Te, ./p/Si.UPF of a/b", '".../host.vasp: Cd/Te, ./p/Si.UPF of a/b"'),
        ("record 0123456789abcdef: defaced", '"record ...: defaced"'),
        ("a | b\n  ****", '"a \\| b \\*\\*\\*\\*"'),
        ("", "nothing"),
    ],
)
def test_what_varies_is_left_out(message: str, short: str) -> None:
    assert abbreviated(message) == short


def test_a_long_message_keeps_its_begin_and_its_end() -> None:
    words = [f"word{n}" for n in range(100)]
    first, last = abbreviated(" ".join(words)).strip('"').split(" ... ")
    assert words[: len(first.split())] == first.split()
    assert words[-len(last.split()) :] == last.split()
    assert len(first) + len(last) < 280


def test_a_row_that_a_test_may_pass_over_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text("def test_x():\n    with y:\n        mistake('study', 'a' 'b', said='', when='run')\n")
    assert list(declared(tmp_path)) == [("study", "ab")]
    path.write_text("def test_x():\n    if y:\n        mistake('study', 'a', said='', when='run')\n")
    with pytest.raises(AssertionError, match="in no if or loop"):
        list(declared(tmp_path))


# docs/reliability.md has a row for every fault that the tests make happen, and none besides.


def test_the_page_s_rows_are_the_tests_faults() -> None:
    page = (ROOT / "docs/reliability.md").read_text()
    table = page.partition("<!-- table: begin -->")[2].partition("<!-- table: end -->")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    sources = "".join(
        path.read_text() for part in ("faults", "cluster") for path in (ROOT / "tests" / part).glob("test_*.py")
    )
    reports = sources.count("report(\n")
    # Some tests are made for several faults each: their names have a variable part.
    several = {"an engine's calculation ": 5, "a record ": 3}
    ends = len(re.findall(r"signal\.SIG\w+,\n", sources))
    for start, count in several.items():
        assert sum(row[0][2:].startswith(start) for row in rows) == count
    assert len(rows) == reports - len(several) + sum(several.values()) - 1 + ends
    for row in rows:
        lost, wrong = row[3], row[5].rstrip(" |")
        assert (lost, wrong) == ("0", "0"), row
