"""Vibrational levels of a curve that need be no parabola, along one generalised coordinate."""

import numpy as np
from scipy import constants
from scipy.interpolate import CubicSpline
from scipy.linalg import eigh_tridiagonal

from defectscape.domain.frame import Floats

KINETIC_EV_AMU_A2 = float(
    constants.hbar**2 / (2 * constants.atomic_mass * constants.angstrom**2) / constants.e
)
"""hbar^2 / 2 for a mass-weighted coordinate, eV amu A^2: 2.09e-3."""

GRID_POINTS = 1500


def vibrational_quantum_eV(Q_amu05_A: Floats, energies_eV: Floats) -> float | None:
    """Spacing of the two lowest levels of the cubic spline through a curve, eV.

    The coordinate ends in walls where the curve does, so a level counts only if it lies below the lower
    end; None if the second one does not.

    Args:
        Q_amu05_A: generalised coordinate, (n,), ascending.
        energies_eV: energy along it, (n,).
    """
    grid = np.linspace(Q_amu05_A[0], Q_amu05_A[-1], GRID_POINTS)
    potential = CubicSpline(Q_amu05_A, energies_eV)(grid)
    hopping = KINETIC_EV_AMU_A2 / (grid[1] - grid[0]) ** 2
    levels = eigh_tridiagonal(
        potential + 2 * hopping, np.full(GRID_POINTS - 1, -hopping), select="i",
        select_range=(0, 1), eigvals_only=True,
    )  # fmt: skip
    if levels[1] > min(energies_eV[0], energies_eV[-1]):
        return None
    return float(levels[1] - levels[0])
