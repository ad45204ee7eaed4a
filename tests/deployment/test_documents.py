"""What the documentation tells people to type exists: commands with their options, imports, links and files."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from benchmarks.__main__ import app as benchmarks
from defectscape.cli.app import app
from support import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PROGRAMS = {"defectscape": app, "python -m benchmarks": benchmarks}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[list[str]]:
    """Words of each line that a page has people type, without its comment."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                words[0] = words[0].removeprefix(".venv/bin/")
                yield words


def parse(command, words: list[str], parent=None) -> None:
    """Read the words as the program would, and call nothing."""
    context = command.make_context(command.name, list(words), parent=parent)
    if isinstance(command, TyperGroup):
        _, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        parse(found, rest, context)


def typed() -> list[tuple[str, list[str]]]:
    """(program, words after it) of all pages."""
    found = []
    for page in PAGES:
        for words in commands(page):
            for name in PROGRAMS:
                head = name.split()
                if words[: len(head)] == head:
                    found.append((name, words[len(head) :]))
    return found


@pytest.mark.parametrize(("program", "words"), typed(), ids=lambda value: " ".join(value) if value else "")
def test_a_command_has_the_options_that_a_page_names(program: str, words: list[str]) -> None:
    parse(get_command(PROGRAMS[program]), words)


@pytest.mark.parametrize(
    "words", [["new", "my", "--hosts", "POSCAR"], ["chek", "my/study.yaml"], ["run"], ["status", "a.yaml", "b.yaml"]]
)
def test_a_command_that_does_not_exist_is_found(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such|Missing|unexpected"):
        parse(get_command(app), words)


def test_the_tutorials_have_each_step_of_a_study() -> None:
    tutorial = [words[1] for words in commands(ROOT / "docs/tutorials.md") if words[0] == "defectscape"]
    assert {"new", "check", "run", "status", "report", "pseudos"} <= set(tutorial)


def test_make_has_the_targets_that_pages_name() -> None:
    named = {words[1] for page in PAGES for words in commands(page) if words[0] == "make"}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test", "docs", "release-check"} <= named <= targets


def test_python_of_pages_imports_what_is_there() -> None:
    names = []
    for page in PAGES:
        for block in blocks(page, "python"):
            # Snakemake's own words are no Python.
            if block.startswith("module "):
                continue
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and node.module.startswith("defectscape"):
                    names += [(node.module, alias.name) for alias in node.names]
    for block in blocks(ROOT / "docs/api.md", "{eval-rst}"):
        names += [(path.rpartition(".")[0], path.rpartition(".")[2]) for path in re.findall(r":: (\S+)", block)]
    assert len(names) > 40
    assert [name for name in names if not hasattr(importlib.import_module(name[0]), name[1])] == []


def anchors(page: Path) -> set[str]:
    """What a link may name in a page: its headings as GitHub and the site write them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_the_contribution_guide_names_files_that_are_there() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Change X, edit Y")[2]
    paths = [path for path in re.findall(r"`([\w/.-]+)`", table) if "/" in path or path.endswith(".py")]
    assert len(paths) > 50
    assert [path for path in paths if not any((top / path).exists() for top in (ROOT, ROOT / "src/defectscape"))] == []
