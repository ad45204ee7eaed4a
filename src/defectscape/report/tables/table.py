"""A table: one definition for the page and for the CSV files, with the unit in every header.

A table keeps raw values: the page rounds them to sensible digits, the CSV files do not.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from defectscape.files.text import write_text

Cell = str | int | float | bool | None

NO_VALUE = "–"


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
