"""The site table: our names of the host's possible defects, and what they are called elsewhere."""

from dataclasses import dataclass

import numpy as np

from defectscape.domain.frame import Floats, Ints, frozen_array

PAIR = "pair"
"""Kind of a site that holds two point defects."""


@dataclass(frozen=True)
class PointSite:
    """One kind of point defect of the host, in the study's supercell.

    Attributes:
        name: our name (``v_Cd``; ``v_Sb_1``, ``v_Sb_2`` where the host has inequivalent sites).
        doped_name: doped's name of the same entry; contains bond lengths, changes with volume.
        kind: ``vacancy``, ``substitution`` or ``interstitial``.
        added: chemical symbol of the atom put in, or None for a vacancy.
        removed: chemical symbol of the atom taken out, or None for an interstitial.
        frac_coords: fractional coordinates of the defect in the supercell, three numbers.
        multiplicity: equivalent sites in the host's primitive cell.
    """

    name: str
    doped_name: str
    kind: str
    added: str | None
    removed: str | None
    frac_coords: tuple[float, float, float]
    multiplicity: int


@dataclass(frozen=True)
class DefectSite(PointSite):
    """One kind of defect of the host: a point defect, or a pair of them.

    Of a pair the kind is ``pair``, no atom is added or removed but by its partners, the coordinates are those of the
    point halfway between them, and the multiplicity counts pairs: all orientations at all sites of a primitive cell,
    each pair once.

    Attributes:
        partners: the two point defects of a pair, each at its place; empty for a point defect.
    """

    partners: tuple[PointSite, ...] = ()

    @property
    def points(self) -> tuple[PointSite, ...]:
        """The point defects: the partners of a pair, else the defect itself."""
        return self.partners or (self,)

    @property
    def changes(self) -> dict[str, int]:
        """Atoms per element that the defect has more (negative: fewer) than the host."""
        counts: dict[str, int] = {}
        for point in self.points:
            for symbol, change in ((point.added, 1), (point.removed, -1)):
                if symbol is not None:
                    counts[symbol] = counts.get(symbol, 0) + change
        return {symbol: counts[symbol] for symbol in sorted(counts) if counts[symbol]}

    @property
    def orientations(self) -> int:
        """Of a pair, its ways around one site of the first partner."""
        first = self.points[0]
        alike = len({point.name for point in self.points}) == 1 and len(self.points) > 1
        return self.multiplicity * (2 if alike else 1) // first.multiplicity


@dataclass(frozen=True, eq=False)
class HostCrystal:
    """The host: its unit cell and the supercell that all defects live in.

    Attributes:
        formula: reduced formula.
        spacegroup: international symbol.
        unit_numbers, unit_positions_A, unit_cell_A: the unit cell (n,), (n, 3), (3, 3).
        matrix: supercell matrix, rows are supercell vectors in units of unit-cell vectors.
        numbers, positions_A, cell_A: the supercell.
        min_image_distance_A: shortest distance between a point and its periodic image, A.
    """

    formula: str
    spacegroup: str
    unit_numbers: Ints
    unit_positions_A: Floats
    unit_cell_A: Floats
    matrix: Ints
    numbers: Ints
    positions_A: Floats
    cell_A: Floats
    min_image_distance_A: float

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        for prefix, count in (("unit_", len(self.unit_numbers)), ("", len(self.numbers))):
            for field, dtype, shape in (
                ("numbers", np.int64, (count,)),
                ("positions_A", np.float64, (count, 3)),
                ("cell_A", np.float64, (3, 3)),
            ):
                values = getattr(self, prefix + field)
                set_(self, prefix + field, frozen_array(values, dtype, shape, f"host {field}"))
        set_(self, "matrix", frozen_array(self.matrix, np.int64, (3, 3), "supercell matrix"))
