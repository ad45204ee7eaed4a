"""Vibrational levels of a curve that need be no parabola, along one generalised coordinate."""

from dataclasses import dataclass

import numpy as np
from scipy import constants
from scipy.interpolate import CubicSpline
from scipy.linalg import eigh_tridiagonal

from defectscape.domain.frame import Floats

KINETIC_EV_AMU_A2 = float(constants.hbar**2 / (2 * constants.atomic_mass * constants.angstrom**2) / constants.e)
"""hbar^2 / 2 for a mass-weighted coordinate, eV amu A^2: 2.09e-3."""

GRID_POINTS = 1500
FINE_GRID_POINTS = 4000
"""For levels high above the minimum: 0.1% of a kinetic energy of 1 eV on a path of 10 amu^(1/2) A."""


def vibrational_quantum_eV(Q_amu05_A: Floats, energies_eV: Floats) -> float | None:
    """Spacing of the two lowest levels of the cubic spline through a curve, eV.

    The coordinate ends in walls where the curve does, so a level counts only if it lies below the lower
    end; None if the second one does not.

    Args:
        Q_amu05_A: generalised coordinate, (n,), ascending.
        energies_eV: energy along it, (n,).
    """
    _, diagonal, beside = _hamiltonian(Q_amu05_A, energies_eV, GRID_POINTS)
    levels = eigh_tridiagonal(diagonal, beside, select="i", select_range=(0, 1), eigvals_only=True)
    if levels[1] > min(energies_eV[0], energies_eV[-1]):
        return None
    return float(levels[1] - levels[0])


@dataclass(frozen=True, eq=False)
class VibrationalLevels:
    """Levels of one curve.

    Attributes:
        Q_amu05_A: the grid that the states stand on, amu^(1/2) A, (g,).
        energies_eV: energies, lowest first, (n,), eV.
        states: normalised states, the square sums to one over the grid, (g, n).
    """

    Q_amu05_A: Floats
    energies_eV: Floats
    states: Floats

    def elements(self, other: "VibrationalLevels", origin_amu05_A: float) -> Floats:
        """<m|Q - origin|n> between these levels m and the other's n on the same grid, (m, n), amu^(1/2) A."""
        lever = (self.Q_amu05_A - origin_amu05_A)[:, None]
        return np.asarray(self.states.T @ (lever * other.states))


def vibrational_levels(Q_amu05_A: Floats, energies_eV: Floats, ceiling_eV: float) -> VibrationalLevels:
    """All levels below a ceiling of the cubic spline through a curve.

    The coordinate ends in walls where the curve does, so the ceiling should be no higher than the curve's
    lower end.

    Args:
        Q_amu05_A: generalised coordinate, (n,), ascending.
        energies_eV: energy along it, (n,).
        ceiling_eV: levels above are left out, eV.
    """
    grid, diagonal, beside = _hamiltonian(Q_amu05_A, energies_eV, FINE_GRID_POINTS)
    # No level lies below the curve's lowest point, where the kinetic energy begins.
    lowest = float(diagonal.min() + 2 * beside[0])
    if ceiling_eV <= lowest:
        return VibrationalLevels(grid, np.empty(0), np.empty((len(grid), 0)))
    energies, states = eigh_tridiagonal(diagonal, beside, select="v", select_range=(lowest, ceiling_eV))
    return VibrationalLevels(grid, energies, states)


def _hamiltonian(Q_amu05_A: Floats, energies_eV: Floats, points: int) -> tuple[Floats, Floats, Floats]:
    """Grid (g,), and diagonal (g,) and neighbouring elements (g - 1,), eV, of the tridiagonal Hamiltonian on it."""
    grid = np.linspace(Q_amu05_A[0], Q_amu05_A[-1], points)
    hopping = KINETIC_EV_AMU_A2 / (grid[1] - grid[0]) ** 2
    diagonal = CubicSpline(Q_amu05_A, energies_eV)(grid) + 2 * hopping
    return grid, diagonal, np.full(points - 1, -hopping)
