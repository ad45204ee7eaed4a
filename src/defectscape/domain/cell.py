"""When two supercells are one, throughout: from import over the search to formation energies."""

from dataclasses import replace

import numpy as np

from defectscape.domain.frame import GEOMETRY_DECIMALS, Floats, Frame

CELL_TOLERANCE_A = 1e-3
"""Lattice vectors of one supercell agree within this, component by component, A.

Rounded coordinates stay far below it. At a residual stress of 3 GPa a cell of 1000 A^3 that is off by this
much everywhere has an energy that is off by about 6 meV.
"""


def cell_difference_A(cell_A: Floats, other_A: Floats) -> float:
    """Largest difference between components of two cells' lattice vectors (3, 3), A."""
    return float(np.max(np.abs(np.asarray(cell_A) - np.asarray(other_A))))


def same_cell(cell_A: Floats, other_A: Floats) -> bool:
    """Whether two cells (3, 3), A, are one within the tolerance."""
    return cell_difference_A(cell_A, other_A) <= CELL_TOLERANCE_A


def onto_cell(frame: Frame, cell_A: Floats) -> Frame:
    """The frame in a cell that is its own within the tolerance, at the same fractional coordinates.

    A frame whose cell rounds to the same numbers already stays as it is, and so does its label's key.
    """
    if cell_difference_A(frame.cell_A, cell_A) < 0.5 * 10.0**-GEOMETRY_DECIMALS:
        return frame
    positions_A = frame.positions_A @ np.linalg.inv(frame.cell_A) @ cell_A
    return replace(frame, positions_A=positions_A, cell_A=np.array(cell_A))
