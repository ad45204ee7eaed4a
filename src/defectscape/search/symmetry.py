"""Point group of a defect in its supercell."""

import logging
from typing import Any

import numpy as np
import spglib

from defectscape.domain.frame import Floats, Frame, Ints

logger = logging.getLogger(__name__)

SCHOENFLIES = {
    "1": "C1", "-1": "Ci", "2": "C2", "m": "Cs", "2/m": "C2h", "222": "D2", "mm2": "C2v",
    "mmm": "D2h", "4": "C4", "-4": "S4", "4/m": "C4h", "422": "D4", "4mm": "C4v", "-42m": "D2d",
    "4/mmm": "D4h", "3": "C3", "-3": "S6", "32": "D3", "3m": "C3v", "-3m": "D3d", "6": "C6",
    "-6": "C3h", "6/m": "C6h", "622": "D6", "6mm": "C6v", "-6m2": "D3h", "6/mmm": "D6h",
    "23": "T", "m-3": "Th", "432": "O", "-43m": "Td", "m-3m": "Oh",
}  # fmt: skip
"""Hermann-Mauguin symbols of the 32 crystallographic point groups, as spglib writes them."""

ORDERS = {
    "C1": 1, "Ci": 2, "C2": 2, "Cs": 2, "C2h": 4, "D2": 4, "C2v": 4, "D2h": 8, "C4": 4, "S4": 4,
    "C4h": 8, "D4": 8, "C4v": 8, "D2d": 8, "D4h": 16, "C3": 3, "S6": 6, "D3": 6, "C3v": 6, "D3d": 12,
    "C6": 6, "C3h": 6, "C6h": 12, "D6": 12, "C6v": 12, "D3h": 12, "D6h": 24, "T": 12, "Th": 24,
    "O": 24, "Td": 24, "Oh": 48,
}  # fmt: skip
"""How many operations each group has."""

UNKNOWN = "unknown"


def symmetry_dataset(
    cell_A: Floats, fractional: Floats, numbers: Ints, tolerance_A: float
) -> spglib.SpglibDataset | None:
    """What spglib says of a crystal, or None if it finds no symmetry at all."""
    cell: Any = (cell_A, fractional, numbers)
    return spglib.get_symmetry_dataset(cell, symprec=tolerance_A)


def point_group(frame: Frame, tolerance_A: float) -> str:
    """Schoenflies symbol of the point group of the periodic defect supercell.

    One defect in a supercell leaves no translation within it, so the point group of the space
    group is that of the defect, as far as the supercell's shape allows: a cell that is not cubic
    lowers the group of a defect in a cubic host (Td becomes D2d or less).

    Where spglib finds no group at ``tolerance_A`` (too wide for the structure) it is halved, up
    to four times; ``unknown`` if there is still none.
    """
    fractional = frame.positions_A @ np.linalg.inv(frame.cell_A)
    for halvings in range(5):
        tolerance = tolerance_A / 2**halvings
        dataset = symmetry_dataset(frame.cell_A, fractional, frame.numbers, tolerance)
        if dataset is not None:
            return SCHOENFLIES[dataset.pointgroup.strip()]
    logger.warning("no point group found for %s (%s)", frame.key, frame.frame_id)
    return UNKNOWN


DEGENERATE = frozenset(
    [
        "C4",
        "S4",
        "C4h",
        "D4",
        "C4v",
        "D2d",
        "D4h",
        "C3",
        "S6",
        "D3",
        "C3v",
        "D3d",
        "C6",
        "C3h",
        "C6h",
        "D6",
        "C6v",
        "D3h",
        "D6h",
        "T",
        "Td",
        "Th",
        "O",
        "Oh",
    ]
)
"""Groups with representations of more than one dimension, or conjugate pairs: levels that can split."""


def lowering(unrelaxed: str, relaxed: str) -> str:
    """A loss of symmetry that could be of Jahn and Teller's kind, in words; empty if it could not.

    Whether a degenerate level was partly filled is not known here, so it is called "like".
    """
    ways = orientations(unrelaxed, relaxed)
    if unrelaxed not in DEGENERATE or ways is None or ways < 2:
        return ""
    return f"Jahn-Teller-like, {unrelaxed} to {relaxed}"


def orientations(unrelaxed: str, relaxed: str) -> int | None:
    """In how many equivalent ways a relaxed defect can lie on its site: its orientational degeneracy.

    The ratio of the orders of the two point groups, as long as the relaxed one can be a part of the other;
    None where it cannot (the defect has left its site) or one is unknown.
    Source: I. Mosquera-Lois et al., Chem. Soc. Rev. 52, 5812 (2023).
    """
    if unrelaxed not in ORDERS or relaxed not in ORDERS:
        return None
    ways, rest = divmod(ORDERS[unrelaxed], ORDERS[relaxed])
    return None if rest or ways == 0 else ways
