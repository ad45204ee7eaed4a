"""Point group of a defect in its supercell, and what a lowered one means.

Symbols are spglib's, the orders of the groups doped's. doped takes seconds to import, so it is imported
only where orders are compared.
"""

import logging
from typing import Any

import numpy as np
import spglib

from defectscape.domain.frame import Floats, Frame, Ints
from defectscape.files.quiet import quiet

logger = logging.getLogger(__name__)

UNKNOWN = "unknown"

WITHOUT_DEGENERACY = frozenset(["C1", "Ci", "C2", "Cs", "C2h", "D2", "C2v", "D2h"])
"""Point groups with one-dimensional real representations only: no level of theirs is degenerate by symmetry."""


def symmetry_dataset(
    cell_A: Floats, fractional: Floats, numbers: Ints, tolerance_A: float
) -> spglib.SpglibDataset | None:
    """spglib's symmetry of a crystal, or None if it finds none at all."""
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
        kind = spglib.get_spacegroup_type(dataset.hall_number) if dataset else None
        if kind is not None:
            return kind.pointgroup_schoenflies
    logger.warning("no point group found for %s (%s)", frame.key, frame.frame_id)
    return UNKNOWN


def lowering(unrelaxed: str, relaxed: str) -> str:
    """A loss of symmetry that a Jahn-Teller effect could explain, in words; empty if it could not.

    Whether a degenerate level is partly occupied is not known here, hence "like".
    """
    ways = orientations(unrelaxed, relaxed)
    if unrelaxed in WITHOUT_DEGENERACY or ways is None or ways < 2:
        return ""
    return f"Jahn-Teller-like, {unrelaxed} to {relaxed}"


def orientations(unrelaxed: str, relaxed: str) -> int | None:
    """Orientational degeneracy: the number of equivalent orientations of a relaxed defect on its site.

    The ratio of the orders of the two point groups. None where it is no whole number (the relaxed group is no
    subgroup: the defect has left its site) or a group is unknown.
    Source: I. Mosquera-Lois et al., Chem. Soc. Rev. 52, 5812 (2023).
    """
    if UNKNOWN in (unrelaxed, relaxed):
        return None
    with quiet("doped"):
        from doped.utils.symmetry import get_orientational_degeneracy

    ways = get_orientational_degeneracy(relaxed_point_group=relaxed, bulk_site_point_group=unrelaxed)
    return int(ways) if ways.is_integer() else None
