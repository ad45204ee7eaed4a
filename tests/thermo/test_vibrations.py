"""Vibrational levels against a parabola, a Morse curve and a box."""

import numpy as np
import pytest
from scipy import constants

from defectscape.thermo.vibrations import vibrational_quantum_eV

SPRING_SI = constants.atomic_mass / constants.e * 1e-20  # (rad/s)^2 to eV/(amu A^2)


def spring(quantum_eV):
    """Curvature of an oscillator with this quantum, eV/(amu A^2)."""
    return (quantum_eV * constants.e / constants.hbar) ** 2 * SPRING_SI


@pytest.mark.parametrize("quantum_eV", [0.010, 0.025])
def test_a_parabola_has_its_quantum(quantum_eV):
    Q = np.linspace(-6.0, 9.0, 11)
    energies = 0.5 * spring(quantum_eV) * Q**2
    assert vibrational_quantum_eV(Q, energies) == pytest.approx(quantum_eV, rel=1e-3)


def test_a_morse_curve_has_less_than_its_parabola():
    """E1 - E0 = hw - 2 (hw)^2 / (4 D)."""
    quantum_eV, depth_eV = 0.03, 0.4
    steepness = np.sqrt(spring(quantum_eV) / (2 * depth_eV))
    Q = np.linspace(-2.5, 12.0, 60)
    energies = depth_eV * (1 - np.exp(-steepness * Q)) ** 2
    expected = quantum_eV - 2 * quantum_eV**2 / (4 * depth_eV)
    assert vibrational_quantum_eV(Q, energies) == pytest.approx(expected, rel=2e-3)


def test_a_curve_that_ends_too_low_has_none():
    Q = np.linspace(-0.3, 0.3, 9)
    assert vibrational_quantum_eV(Q, 0.5 * spring(0.025) * Q**2) is None
