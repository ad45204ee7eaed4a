"""Capture coefficients, and the vibrational levels that they rest on."""

from math import exp, lgamma, log, pi

import numpy as np
import pytest
from scipy import constants

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats
from defectscape.thermo.capture import (
    HBAR_EV_S,
    CaptureCurves,
    capture_coefficient_cm3_s,
    lowest_crossing_eV,
    sommerfeld_factor,
)
from defectscape.thermo.ccd import PHONON_EV
from defectscape.thermo.vibrations import vibrational_quantum_eV

# Capture coefficients: against closed formulas and NONRAD's numbers.


COUPLING, VOLUME_A3, DEGENERACY = 0.064, 1100.0, 4


def _parabola(Q: Floats, phonon_eV: float, at: float) -> Floats:
    return 0.5 * (phonon_eV / PHONON_EV) ** 2 * (Q - at) ** 2


def _curves(
    dQ: float,
    initial_eV: float,
    final_eV: float,
    released_eV: float,
    origin: str = "final",
    points: int = 61,
) -> CaptureCurves:
    Q = np.linspace(-2.5 * dQ - 3, 3.5 * dQ + 3, points)
    return CaptureCurves(
        Q,
        _parabola(Q, initial_eV, 0.0),
        _parabola(Q, final_eV, dQ),
        dQ if origin == "final" else 0.0,
        released_eV,
    )


def _coefficients(curves: CaptureCurves, *temperatures_K: float) -> Floats:
    return capture_coefficient_cm3_s(curves, COUPLING, VOLUME_A3, DEGENERACY, np.array(temperatures_K))


def test_equal_parabolas_cross_at_the_marcus_barrier() -> None:
    Q, reorganisation, offset = np.linspace(-1.0, 2.0, 13), 0.1, -0.06
    initial, final = reorganisation * Q**2, reorganisation * (Q - 1.0) ** 2 + offset
    barrier = (reorganisation + offset) ** 2 / (4 * reorganisation)
    assert lowest_crossing_eV(Q, initial, final) == pytest.approx(barrier, rel=1e-6)
    # The crossing of these two parabolas lies at Q = 15.5, beyond the path.
    assert lowest_crossing_eV(Q, initial, final + 3.06) is None


def test_lowest_of_two_crossings_is_taken() -> None:
    Q = np.linspace(-1, 2, 13)
    roots = np.roots([0.5, -0.1, -0.2])
    found = lowest_crossing_eV(Q, Q**2, 0.5 * Q**2 + 0.1 * Q + 0.2)
    assert found == pytest.approx(min(roots**2), rel=1e-6)


@pytest.mark.parametrize("quanta", [10, 17, 25])
@pytest.mark.parametrize("origin", ["initial", "final"])
def test_two_equal_parabolas_at_low_temperature(quanta: int, origin: str) -> None:
    dQ, phonon = 3.0, 0.03
    found = _coefficients(_curves(dQ, phonon, phonon, quanta * phonon, origin), 10.0)
    S = dQ**2 * phonon / (2 * PHONON_EV**2)
    overlap2 = exp(-S + quanta * log(S) - lgamma(quanta + 1))
    lever2 = PHONON_EV**2 / (2 * phonon) * (quanta - S) ** 2 / S
    if origin == "final":
        # The two origins' elements differ by dQ times the overlap: they belong to the crossing seen from either side.
        crossing = dQ / 2 * (1 - quanta / S)
        lever2 *= ((dQ - crossing) / crossing) ** 2
    rate = 2 * pi / HBAR_EV_S * DEGENERACY * COUPLING**2 * overlap2 * lever2 / phonon
    assert found[0] == pytest.approx(rate * VOLUME_A3 * 1e-24, rel=3e-3)


@pytest.mark.parametrize(
    ("dQ", "released_eV", "initial_eV", "final_eV", "nonrad"),
    [
        # nonrad 1.2.0: get_C(dQ, dE, wi, wf, Wif=0.064, volume=1100, g=4, T=[200, 300, 500]).
        (1.69, 1.01, 0.0336, 0.0336, [5.5675e-10, 2.4073e-09, 1.7823e-08]),
        # It counts energies from the zero points, hence half the difference of the quanta.
        (2.0, 0.3 - 0.005, 0.04, 0.03, [8.9967e-07, 9.0092e-07, 8.5848e-07]),
    ],
)
def test_nonrads_numbers(
    dQ: float, released_eV: float, initial_eV: float, final_eV: float, nonrad: list[float]
) -> None:
    found = _coefficients(_curves(dQ, initial_eV, final_eV, released_eV), 200.0, 300.0, 500.0)
    assert found == pytest.approx(nonrad, rel=5e-3)


def test_high_barriers_are_climbed_by_heat() -> None:
    """Classical limit: the slope of the logarithm over 1/kT is the barrier, here 0.34 eV."""
    dQ, phonon, released = 10.6, 0.02, 0.6
    temperatures = np.array([600.0, 700.0])
    found = _coefficients(_curves(dQ, phonon, phonon, released, points=121), *temperatures)
    relaxation = _parabola(np.array([dQ]), phonon, 0.0)[0]
    barrier = (relaxation - released) ** 2 / (4 * relaxation)
    kT = constants.k / constants.e * temperatures
    slope = -np.diff(np.log(found * np.sqrt(kT)))[0] / np.diff(1 / kT)[0]
    assert slope == pytest.approx(barrier, rel=0.02)


def test_curves_that_end_too_low_are_refused() -> None:
    Q = np.linspace(-1.0, 4.0, 41)
    curves = CaptureCurves(Q, _parabola(Q, 0.03, 0.0), _parabola(Q, 0.03, 3.0), 3.0, 0.17)
    with pytest.raises(ThermoError, match="extend"):
        _coefficients(curves, 600.0)


def test_less_than_a_quantum_is_refused() -> None:
    with pytest.raises(ThermoError, match="quantum"):
        _coefficients(_curves(3.0, 0.03, 0.03, 0.01), 300.0)


def test_the_coulomb_factor_is_nonrads() -> None:
    temperatures = np.array([200.0, 300.0, 500.0])
    assert sommerfeld_factor(0, 0.18, 8.9, temperatures).tolist() == [1.0, 1.0, 1.0]
    attracted = sommerfeld_factor(-1, 0.18, 8.9, temperatures)
    assert attracted == pytest.approx([9.5094175, 7.7814570, 6.0656651], rel=1e-6)
    repelled = sommerfeld_factor(1, 0.18, 8.9, temperatures)
    assert repelled == pytest.approx([0.01343151, 0.02801693, 0.05987616], rel=1e-5)


# Vibrational levels against a parabola, a Morse curve and a box.


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
