"""Rows of docs/reliability.md on what people do wrong: a test records each, with what was said when it ran.

To add a row, call ``mistake`` where a test has the message, as a statement of the test's own (in a ``with`` at most,
so that it cannot be passed over), with the section and the input as literals. Then

    DEFECTSCAPE_MISTAKES_TABLE=write pytest tests/thermo/test_corrections.py

puts what the tests of that file recorded into the page: a row that is there is replaced, another comes last in its
section, from where it may be moved by hand. Without the variable a test fails where the page says something else.
`tests/reliability/test_page.py` fails where the page has a row that no test records, or lacks one.
"""

import ast
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support import ROOT

TABLE = "DEFECTSCAPE_MISTAKES_TABLE"
"""Environment variable: ``write`` puts what is recorded into the page."""

PAGE = ROOT / "docs/reliability.md"
SECTIONS = ("study", "hosts", "imports", "engines")
"""Parts of the page that have a table, by the name in the comment before it."""

END = "<!-- mistakes: end -->"
HEAD = ("| input | what is said | when | right value |", "|---|---|---|---|")
FIRST, LAST = 150, 120
"""Characters kept of a longer message: its begin says what is wrong, its end what to do."""

Said = str | BaseException


@dataclass(frozen=True)
class Row:
    """One row, its cells as they stand in the page.

    Attributes:
        section: one of ``SECTIONS``.
        input: what people do; the row is known by it.
        said: what they are told.
        when: command that tells them.
        right: what is right instead, or what is taken; ``-`` where the message says it.
    """

    section: str
    input: str
    said: str
    when: str
    right: str

    @property
    def line(self) -> str:
        """The row in Markdown."""
        return f"| {self.input} | {self.said} | {self.when} | {self.right} |"


def mistake(
    section: str, given: str, *, said: Said | tuple[Said, ...], when: str, right: str = "-", page: Path = PAGE
) -> None:
    """Record a row: fail where the page says something else, or write it into the page.

    Args:
        section: one of ``SECTIONS``.
        given: the input, what people do, in Markdown.
        said: the error or text as it came, of each case; the empty text is "nothing".
        when: command that says it: ``check``, ``import``, ``run``, ``snakemake -n``, ``load`` is all of them.
        right: the right value.
        page: the document.
    """
    cases = said if isinstance(said, tuple) else (said,)
    words = "; ".join(dict.fromkeys(abbreviated(str(case)) for case in cases))
    row = Row(section, given, words, when, right)
    if os.environ.get(TABLE) == "write":
        _write(row, page)
    found = [line for line in section_lines(page.read_text(), section) if _input_of(line) == given]
    assert found == [row.line], f"{page.name} says otherwise; {TABLE}=write rewrites it (tests/support/mistakes.py)"


def abbreviated(message: str) -> str:
    """A message in Markdown, with ``...`` for folders, hashes, and the middle of a long one."""
    text = re.sub(r"(?<![\w./])/(?:[^\s/,:;'\"()]+/)+", ".../", " ".join(message.split()))
    text = re.sub(r"\b(?=[a-f]*\d)[0-9a-f]{12,}\b", "...", text)
    if len(text) > FIRST + LAST + 20:
        text = f"{text[:FIRST].rpartition(' ')[0]} ... {text[-LAST:].partition(' ')[2]}"
    for sign in "|<*":
        text = text.replace(sign, f"\\{sign}")
    return f'"{text}"' if text else "nothing"


def section_lines(text: str, section: str) -> list[str]:
    """The rows of a section of the page."""
    assert section in SECTIONS, section
    _, begin, rest = text.partition(f"<!-- mistakes: {section} -->\n")
    body, end, _ = rest.partition(END)
    assert begin, f"the page has no section {section}"
    assert end, f"section {section} does not end"
    lines = body.splitlines()
    assert tuple(lines[:2]) == HEAD
    return lines[2:]


def declared(folder: Path) -> Iterator[tuple[str, str]]:
    """Section and input of every row that the tests in a folder record.

    Raises:
        AssertionError: for a row that is recorded where the test could pass without it, or that is no literal.
    """
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text()
        if "mistake(" not in text:
            continue
        tree = ast.parse(text)
        tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
        sure = [call for test in tests for call in _statements(test.body)]
        everywhere = [node for node in ast.walk(tree) if _is_record(node)]
        assert len(sure) == len(everywhere), f"{path.name}: a row is a statement of its test, in no if or loop"
        for call in sure:
            section, given = (ast.literal_eval(word) for word in call.args)
            yield section, given


def _statements(body: list[ast.stmt]) -> Iterator[ast.Call]:
    for statement in body:
        if isinstance(statement, ast.With):
            yield from _statements(statement.body)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and _is_record(statement.value):
            yield statement.value


def _is_record(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "mistake"


def _input_of(line: str) -> str:
    return line.removeprefix("| ").partition(" | ")[0]


def _write(row: Row, page: Path) -> None:
    """Put a row into the page, which other processes may be writing into."""
    with page.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        lines = section_lines(text, row.section)
        places = {_input_of(line): place for place, line in enumerate(lines)}
        new = list(lines)
        place = places.get(row.input, len(lines))
        new[place : place + 1] = [row.line]
        start = f"<!-- mistakes: {row.section} -->\n"
        before, after = text.split(start)
        _, _, rest = after.partition(END)
        file.seek(0)
        file.write(before + start + "\n".join([*HEAD, *new]) + f"\n{END}" + rest)
        file.truncate()
