"""A table: one definition for the page and for the CSV files, with the unit in every header.

A table keeps raw values: the page rounds them to sensible digits, the CSV files do not.
"""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from defectscape.files.text import write_text
from defectscape.report.glossary import term_of

Cell = str | int | float | bool | None

NO_VALUE = "–"

LONG_WORD = re.compile(r"[^\W\d_]{7,}")

BREAKS = (
    "Calib-rated, Coef-ficient, Com-mittee, Con-verged, Corre-lation, corre-lation, Cou-lomb, Devi-ation, devi-ation, "
    "Dif-ference, dif-ference, Har-monic, Multi-plicity, multi-plicity, Orien-tations, Relax-ation, Temper-ature, "
    "uncer-tainty, unper-turbed, plau-sible, Vali-dation, vali-date"
)
SYLLABLES = {word.replace("-", ""): word.replace("-", "\u00ad") for word in BREAKS.split(", ")}
"""Where the long words of headings may be broken."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        label: heading.
        unit: unit, empty for words and counts.
        digits: decimals on the page; None for words and whole numbers.
        charge: whether the values are charges, always written with their sign.
        strong: marks values that the reader must not overlook.
        download: whether the values are names of files that the page may carry.
        absent: what the page writes where there is no value.
        scientific: whether values span powers of ten, and are written with them.
        bar: whether values are uncertainties: one that would round to zero is given as a bound.
        term: the glossary's word for it; empty where the heading is the word.
        optional: whether the page leaves the column out where no row has a value other than no.
        brief: characters that the page shows of a long text; None for all of it.
    """

    label: str
    unit: str = ""
    digits: int | None = None
    charge: bool = False
    strong: Callable[[Cell], bool] | None = None
    download: bool = False
    absent: str = NO_VALUE
    scientific: bool = False
    bar: bool = False
    term: str = ""
    optional: bool = False
    brief: int | None = None

    @property
    def glossary_term(self) -> str | None:
        """The glossary's word for this column; None for a column that the glossary lacks."""
        return term_of(self.term or self.label)

    @property
    def page_label(self) -> str:
        """Heading that breaks inside long words and not at the hyphen of a name such as Cd-rich."""
        return LONG_WORD.sub(lambda word: SYLLABLES.get(word[0], word[0]), self.label.replace("-", "\u2011"))

    @property
    def heading(self) -> str:
        """Heading with its unit, as in the CSV files."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def numeric(self) -> bool:
        """Whether the values align to the right."""
        return self.digits is not None or self.charge

    def text(self, cell: Cell) -> str:
        """A value for reading; a dash where there is none."""
        if cell is None:
            return self.absent
        if isinstance(cell, bool):
            return "yes" if cell else "no"
        if isinstance(cell, str):
            return cell or NO_VALUE
        if self.charge:
            return f"{cell:+d}".replace("-", "−") if cell else "0"
        if self.scientific:
            return power_of_ten(cell, self.digits or 0)
        digits = self.digits or 0
        least = 10.0**-digits
        if self.bar and 0 < cell < least / 2:
            return f"< {number(least, digits)}"
        return number(cell, digits)

    def brief_text(self, cell: Cell) -> str:
        """The value as the page's table shows it: a long text is cut after a part of it, else after a word."""
        text = self.text(cell)
        if self.brief is None or len(text) <= self.brief:
            return text
        start = text[: self.brief]
        part = max((start.rfind(end) for end in ("; ", ", ")), default=-1)
        cut = start[:part] if part > 0 else start[:-1].rpartition(" ")[0] or start[:-1]
        return f"{cut}…"

    def marked(self, cell: Cell) -> bool:
        """Whether this value is emphasised."""
        return self.strong is not None and self.strong(cell)


def number(value: float, digits: int) -> str:
    """A number with a true minus sign, thin spaces between thousands, and no negative zero."""
    text = f"{value:,.{digits}f}".replace(",", "\u202f")
    if not text.strip("-0.\u202f"):
        text = text.lstrip("-")
    return text.replace("-", "−")


@dataclass(frozen=True)
class Table:
    """A table with a file name, a caption that says what it holds, and rows of raw values."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.name}: {len(row)} cells, {len(self.columns)} columns")

    def for_page(self) -> "Table":
        """The table without its optional columns that hold nothing; the files keep all columns."""
        kept = [
            place
            for place, column in enumerate(self.columns)
            if not column.optional or any(row[place] not in (None, "", False) for row in self.rows)
        ]
        rows = tuple(tuple(row[place] for place in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[place] for place in kept), rows=rows)


def write_table(table: Table, folder: Path) -> Path:
    """Write ``<folder>/<name>.csv``: headings with units, raw values, empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.heading for column in table.columns])
    for row in table.rows:
        writer.writerow(["" if cell is None else _plain(cell) for cell in row])
    path = folder / f"{table.name}.csv"
    write_text(path, text.getvalue())
    return path


def _plain(cell: Cell) -> Cell:
    """Booleans as words, everything else unchanged."""
    return ("yes" if cell else "no") if isinstance(cell, bool) else cell


def power_of_ten(value: float, digits: int) -> str:
    """A value in scientific notation, as 1.2 × 10¹⁵."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.replace('-', '−')} × 10{raised}"


def milli(value: float | None) -> float | None:
    """eV to meV; none stays none."""
    return None if value is None else 1e3 * value


def percent(share: float | None) -> float | None:
    """A share as a percentage; none stays none."""
    return None if share is None else 100 * share
