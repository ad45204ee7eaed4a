"""The tables of the benchmark's result in docs/benchmarks.md; a test compares them with the committed result."""

from pathlib import Path

from benchmarks.hard.results import read_hard
from benchmarks.hard.tables import page_tables
from defectscape.domain.errors import ConfigError

ROOT = Path(__file__).parents[2]
PAGE = "docs/benchmarks.md"
RESULT = "benchmarks/hard.json"
BEGIN, END = "<!-- hard: begin -->", "<!-- hard: end -->"


def page() -> str:
    """The page with the tables of the committed result between their marks.

    Raises:
        ConfigError: if the marks are gone.
    """
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(PAGE, f"no {BEGIN} ... {END}", "Put the two lines back where the tables shall be")
    return f"{before}{begin}\n\n{page_tables(read_hard(ROOT / RESULT))}\n{end}{after}"


RESULTS_DOCUMENTS = {PAGE: page}
"""Generated files, relative to the repository, and what makes them."""
