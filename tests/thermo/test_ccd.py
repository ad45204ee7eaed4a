"""Configuration-coordinate diagrams against displaced harmonic oscillators and a Morse curve."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import constants

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Origin
from defectscape.thermo.ccd import PHONON_EV, fit_minimum, trace_ccd
from defectscape.thermo.path import configuration_path

THZ_IN_EV = constants.h * 1e12 / constants.e  # 4.1357 meV


@pytest.fixture
def path(vacancy):
    initial = vacancy(0)
    positions = initial.positions_A.copy()
    positions[5] += [0.4, 0.3, 0.1]
    final = vacancy(-1).moved(positions, origin=Origin.MINIMUM)
    return configuration_path(initial, final, points=9, extend=0.4)


def spring(omega_rad_s):
    """Force constant of an angular frequency, eV/(amu A^2), from SI constants alone."""
    return omega_rad_s**2 * constants.atomic_mass * 1e-20 / constants.e


def oscillators(path, k_initial, k_final, height_initial=-180.0, height_final=-177.0):
    coordinate = {f.frame_id: q for f, q in zip(path.frames_initial, path.Q_amu05_A, strict=True)}
    coordinate |= {f.frame_id: q for f, q in zip(path.frames_final, path.Q_amu05_A, strict=True)}

    def energy(frame):
        q = coordinate[frame.frame_id]
        if frame.charge == 0:
            return height_initial + 0.5 * k_initial * q**2
        return height_final + 0.5 * k_final * (q - path.dQ_amu05_A) ** 2

    return energy


def test_phonon_energy_of_a_known_frequency():
    omega = 2 * np.pi * 5e12
    assert PHONON_EV * np.sqrt(spring(omega)) == pytest.approx(5 * THZ_IN_EV, rel=1e-9)
    # hbar omega = 64.65 meV at 1 eV/(amu A^2)
    assert pytest.approx(0.06465, abs=1e-5) == PHONON_EV


def test_displaced_oscillators_give_back_their_frequencies_and_huang_rhys_factors(path):
    omegas = 2 * np.pi * np.array([3e12, 4e12])
    springs = [spring(omega) for omega in omegas]
    ccd = trace_ccd(path, oscillators(path, *springs), dE_eV=-0.4)
    for fit, omega, k in zip((ccd.fit_initial, ccd.fit_final), omegas, springs, strict=True):
        relaxation = 0.5 * k * path.dQ_amu05_A**2
        phonon = constants.hbar * omega / constants.e
        assert fit.phonon_energy_eV == pytest.approx(phonon, rel=1e-6)
        assert fit.relaxation_energy_eV == pytest.approx(relaxation, rel=1e-9)
        assert fit.huang_rhys == pytest.approx(relaxation / phonon, rel=1e-6)
        # S = omega dQ^2 / (2 hbar), in SI
        dq = path.dQ_amu05_A * np.sqrt(constants.atomic_mass) * 1e-10
        assert fit.huang_rhys == pytest.approx(omega * dq**2 / (2 * constants.hbar), rel=1e-6)
        assert fit.anharmonic is False
        assert fit.rms_eV == pytest.approx(0, abs=1e-9)
    assert ccd.fit_initial.minimum_amu05_A == pytest.approx(0, abs=1e-6)
    assert ccd.fit_final.minimum_amu05_A == pytest.approx(path.dQ_amu05_A, rel=1e-6)


def test_curves_hang_at_their_ground_states_whatever_the_raw_energies(path):
    ks = (0.05, 0.07)
    first = trace_ccd(path, oscillators(path, *ks), dE_eV=-0.4)
    second = trace_ccd(path, oscillators(path, *ks, -1e4, 3.0), dE_eV=-0.4)
    start, end = (int(np.flatnonzero(path.fractions == x)[0]) for x in (0.0, 1.0))
    assert first.energies_initial_eV[start] == 0.0
    assert first.energies_final_eV[end] == pytest.approx(-0.4)
    assert first.energies_initial_eV == pytest.approx(second.energies_initial_eV, abs=1e-9)
    assert first.energies_final_eV == pytest.approx(second.energies_final_eV, abs=1e-9)


def test_quartic_curve_is_flagged_and_a_soft_one_has_no_phonon():
    q = np.linspace(-0.4, 1.4, 9)
    quartic = fit_minimum(q, np.abs(q) ** 4, int(np.argmin(np.abs(q))), 7)
    assert quartic.anharmonic
    down = fit_minimum(q, -(q**2), 2, 6)
    assert down.anharmonic
    assert down.phonon_energy_eV is None
    assert down.huang_rhys is None


def test_morse_curve_gives_its_harmonic_frequency_near_the_minimum():
    depth, width, k = 3.0, 0.4, 2 * 3.0 * 0.4**2
    q = np.linspace(-0.4, 1.4, 19) * 0.3
    curve = depth * (1 - np.exp(-width * q)) ** 2
    fit = fit_minimum(q, curve, 4, 14)
    assert fit.phonon_energy_eV == pytest.approx(PHONON_EV * np.sqrt(k), rel=0.05)
    assert fit.anharmonic is False


def test_three_points_fit_but_cannot_be_judged(path):
    first, last = path.frames_initial[2], path.frames_final[6]
    short = configuration_path(first, last, points=3, extend=0.4)
    fit = trace_ccd(short, oscillators(short, 0.05, 0.07), dE_eV=0.0).fit_initial
    assert fit.points == 3
    assert fit.anharmonic is None
    assert fit.phonon_energy_eV == pytest.approx(PHONON_EV * np.sqrt(0.05), rel=1e-6)


def test_each_curve_is_asked_in_its_own_charge(path):
    asked = []

    def energy(frame):
        asked.append(frame.charge)
        return 0.0 if frame.charge else 1.0

    trace_ccd(path, energy, dE_eV=0.0)
    assert asked == [0] * 9 + [-1] * 9


def test_energy_that_is_not_finite_is_refused(path):
    with pytest.raises(ThermoError, match="path v_Cd_0 to v_Cd_-1"):
        trace_ccd(path, lambda frame: float("nan"), dE_eV=0.0)
    bad = replace(path, frames_initial=path.frames_initial)
    with pytest.raises(ThermoError):
        trace_ccd(bad, lambda frame: float("inf") if frame.charge else 0.0, dE_eV=0.0)
