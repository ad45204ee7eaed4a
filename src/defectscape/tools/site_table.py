"""The table of a host's defects, as the check prints it."""

from collections.abc import Mapping, Sequence

from defectscape.domain.keys import format_charge
from defectscape.sampling.site_names import SiteWords

HEAD = ("name", "doped's name", "Wyckoff", "per cell", "x", "y", "z", "neighbours", "proposed")
RIGHT = range(3, 7)
"""Columns of numbers."""


def site_table(rows: Sequence[SiteWords], proposed: Mapping[str, Sequence[int]]) -> list[str]:
    """Lines of the table; ``per cell`` counts the sites of the primitive cell.

    Args:
        rows: the sites.
        proposed: charge states proposed, by name.
    """
    cells = [HEAD, *(_cells(row, proposed[row.site.name]) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    return [
        "  ".join(_padded(text, width, n) for n, (text, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in cells
    ]


def _padded(text: str, width: int, column: int) -> str:
    return text.rjust(width) if column in RIGHT else text.ljust(width)


def _cells(row: SiteWords, charges: Sequence[int]) -> tuple[str, ...]:
    site = row.site
    low, high = min(charges), max(charges)
    places = (f"{value:.4f}" for value in row.unit_frac_coords)
    asked = f"{format_charge(low)} to {format_charge(high)}"
    return (site.name, site.doped_name, row.wyckoff, str(site.multiplicity), *places, row.neighbours, asked)
