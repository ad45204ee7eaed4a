"""The tables of a host's point defects and of a study's pairs, as the check prints them."""

from collections.abc import Mapping, Sequence

from defectscape.domain.keys import format_charge
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.sampling.pairs import partner_distance_A
from defectscape.sampling.site_names import SiteWords

HEAD = ("name", "doped's name", "Wyckoff", "per cell", "x", "y", "z", "neighbours", "proposed")
RIGHT = range(3, 7)
"""Columns of numbers."""
PAIR_HEAD = ("pair", "A apart", "ways", "per cell", "proposed")
PAIR_RIGHT = range(1, 4)


def site_table(rows: Sequence[SiteWords], proposed: Mapping[str, Sequence[int]]) -> list[str]:
    """Lines of the table; ``per cell`` counts the sites of the primitive cell.

    Args:
        rows: the sites.
        proposed: charge states proposed, by name.
    """
    return _lines([HEAD, *(_cells(row, proposed[row.site.name]) for row in rows)], RIGHT)


def pair_table(host: HostCrystal, pairs: Sequence[DefectSite], proposed: Mapping[str, Sequence[int]]) -> list[str]:
    """Lines of the table of pairs; ``ways`` are its orientations around one site of its first partner.

    Args:
        host: the crystal.
        pairs: the pairs.
        proposed: charge states proposed, by name.
    """
    cells = [
        (
            pair.name,
            f"{partner_distance_A(host, pair):.2f}",
            str(pair.orientations),
            str(pair.multiplicity),
            _asked(proposed[pair.name]),
        )
        for pair in pairs
    ]
    return _lines([PAIR_HEAD, *cells], PAIR_RIGHT)


def _lines(cells: Sequence[Sequence[str]], right: range) -> list[str]:
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def _asked(charges: Sequence[int]) -> str:
    return f"{format_charge(min(charges))} to {format_charge(max(charges))}"


def _cells(row: SiteWords, charges: Sequence[int]) -> tuple[str, ...]:
    site = row.site
    places = (f"{value:.4f}" for value in row.unit_frac_coords)
    return (site.name, site.doped_name, row.wyckoff, str(site.multiplicity), *places, row.neighbours, _asked(charges))
