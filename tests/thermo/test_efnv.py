"""The eFNV correction against an Ewald sum and an average written out here."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.special import erfc

from defectscape.domain.energies import FiniteSizeCorrection
from defectscape.domain.errors import ThermoError
from defectscape.thermo.chempots import chemical_potential_limits
from defectscape.thermo.corrections import point_charge_energy_eV
from defectscape.thermo.efnv import EFNV_LABEL, UNCORRECTED, efnv_correction
from defectscape.thermo.formation import formation_energies

E2_EV_A = 14.3996454
DIELECTRIC = np.array([[9.0, 1.0, 0.0], [1.0, 7.0, 0.0], [0.0, 0.0, 8.0]])


def point_charge_potential_V(cell, dielectric, where_A, gamma=0.5):
    """Potential of a periodic unit charge at the origin and its background (Kumagai and Oba, eq. 15), V."""
    volume = abs(np.linalg.det(cell))
    inverse, root = np.linalg.inv(dielectric), np.sqrt(np.linalg.det(dielectric))
    steps = np.array(list(product(range(-7, 8), repeat=3)))
    r = where_A - steps @ cell
    rr = np.sqrt(np.einsum("ni,ij,nj->n", r, inverse, r))
    g = steps[np.any(steps != 0, axis=1)] @ (2 * np.pi * np.linalg.inv(cell).T)
    gg = np.einsum("ni,ij,nj->n", g, dielectric, g)
    return E2_EV_A * (
        np.sum(erfc(gamma * rr) / rr) / root
        + 4 * np.pi / volume * np.sum(np.exp(-gg / (4 * gamma**2)) / gg * np.cos(g @ where_A))
        - np.pi / (volume * gamma**2)
    )


@pytest.fixture(scope="module")
def state(states):
    return next(state for state in states if state.key.charge == -2)


@pytest.fixture(scope="module")
def far(host, state):
    """Atoms outside the sphere in the supercell, a cube here, and the point charge's potential at all."""
    shifts = np.array(list(product((-1, 0, 1), repeat=3))) @ host.cell_A
    away = np.linalg.norm(state.frame.positions_A[:, None] + shifts[None], axis=2).min(axis=1)
    potentials = np.array(
        [point_charge_potential_V(host.cell_A, DIELECTRIC, position) for position in state.frame.positions_A]
    )
    return away > host.cell_A[0, 0] / 2, potentials


@pytest.fixture(scope="module")
def correct(state, host, sites, energies):
    def call(defect_V, host_V, dielectric=DIELECTRIC):
        return efnv_correction(state, host, sites[0], energies, dielectric.tolist(), defect_V, host_V)

    return call


def test_potentials_of_a_point_charge_leave_the_point_charge_s_energy(correct, host, far):
    _, potentials = far
    flat = np.full(64, 3.7)
    found = correct(flat[1:] - 2 * potentials, flat)
    expected = 4 * point_charge_energy_eV(host.cell_A, DIELECTRIC)
    assert found.value_eV == pytest.approx(expected, abs=1e-3)
    assert found.uncertainty_eV == pytest.approx(0.0, abs=1e-3)
    assert found.label == EFNV_LABEL


def test_an_offset_is_aligned_by_the_charge_times_it(correct, host, far):
    """A zero of the potential that differs by 0.2 V moves the energy of charge -2 by +0.4 eV."""
    _, potentials = far
    flat = np.full(64, 3.7)
    found = correct(flat[1:] - 2 * potentials + 0.2, flat)
    expected = 4 * point_charge_energy_eV(host.cell_A, DIELECTRIC) + 0.4
    assert found.value_eV == pytest.approx(expected, abs=1e-3)


def test_noise_is_averaged_over_the_far_atoms_alone(correct, host, far):
    outside, potentials = far
    rng = np.random.default_rng(5)
    noise = rng.normal(0.0, 0.05, 63)
    host_V = rng.normal(0.0, 2.0, 64)
    found = correct(host_V[1:] - 2 * potentials + noise, host_V)
    chosen = noise[outside]
    expected = 4 * point_charge_energy_eV(host.cell_A, DIELECTRIC) + 2 * chosen.mean()
    assert found.value_eV == pytest.approx(expected, abs=1e-3)
    spread = chosen.std(ddof=1) / np.sqrt(len(chosen))
    assert found.uncertainty_eV == pytest.approx(2 * spread, rel=1e-3)


def test_a_neutral_state_needs_none(states, host, sites, energies):
    neutral = next(state for state in states if state.key.charge == 0)
    found = efnv_correction(neutral, host, sites[0], energies, DIELECTRIC.tolist(), np.zeros(63), np.zeros(64))
    assert (found.value_eV, found.uncertainty_eV) == (0.0, 0.0)


def test_potentials_of_other_atoms_are_refused(correct):
    with pytest.raises(ThermoError, match="potentials of v_Cd_-2"):
        correct(np.zeros(62), np.zeros(64))
    with pytest.raises(ThermoError, match="potentials of the host"):
        correct(np.zeros(63), np.full(64, np.nan))


def test_the_correction_enters_the_formation_energy_with_its_uncertainty(state, host, energies):
    limits = chemical_potential_limits(host.numbers, energies.bulk_energy_eV, {"Cd": -1.5, "Te": -3.2})
    known = replace(state, uncertainty_eV=0.03)
    (plain,) = formation_energies([known], host, energies, limits[:1], [UNCORRECTED])
    added = FiniteSizeCorrection(0.5, EFNV_LABEL, 0.04)
    (found,) = formation_energies([known], host, energies, limits[:1], [added])
    assert found.energy_eV == pytest.approx(plain.energy_eV + 0.5)
    assert found.uncertainty_eV == pytest.approx(0.05)
    assert found.correction_label == EFNV_LABEL
