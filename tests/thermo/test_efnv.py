"""The eFNV correction against an Ewald sum and an average written out here."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defectscape.domain.energies import FiniteSizeCorrection, StateEnergy
from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.thermo.chempots import chemical_potential_limits
from defectscape.thermo.efnv import EFNV_LABEL, alignment_warnings, efnv_correction
from defectscape.thermo.formation import formation_energies
from support.crystals import cells, other_vectors, tensors, turns
from support.direct_sum import direct_energy_eV, direct_potential_V, nearest_A
from support.mistakes import mistake

DIELECTRIC = np.array([[9.0, 1.0, 0.0], [1.0, 7.0, 0.0], [0.0, 0.0, 8.0]])
CLOSE_EV = 1e-3
UNCORRECTED = FiniteSizeCorrection(0.0, "none")


@pytest.fixture(scope="module")
def state(states):
    return next(state for state in states if state.key.charge == -2)


@pytest.fixture(scope="module")
def far(host, state):
    """Atoms outside the sphere in the supercell, a cube here, and the point charge's potential at all."""
    away = nearest_A(state.frame.positions_A, host.cell_A)
    potentials = np.array(
        [direct_potential_V(host.cell_A, DIELECTRIC, position) for position in state.frame.positions_A]
    )
    return away > host.cell_A[0, 0] / 2, potentials


@pytest.fixture(scope="module")
def correct(state, host, sites):
    def call(defect_V, host_V, dielectric=DIELECTRIC):
        return efnv_correction(state, host, sites[0], dielectric.tolist(), defect_V, host_V)

    return call


def test_potentials_of_a_point_charge_leave_the_point_charge_s_energy(correct, host, far):
    _, potentials = far
    flat = np.full(64, 3.7)
    found = correct(flat[1:] - 2 * potentials, flat)
    expected = 4 * direct_energy_eV(host.cell_A, DIELECTRIC)
    assert found.value_eV == pytest.approx(expected, abs=1e-3)
    assert found.uncertainty_eV == pytest.approx(0.0, abs=1e-3)
    assert found.label == EFNV_LABEL


def test_an_offset_is_aligned_by_the_charge_times_it(correct, host, far):
    """A zero of the potential that differs by 0.2 V moves the energy of charge -2 by +0.4 eV."""
    _, potentials = far
    flat = np.full(64, 3.7)
    found = correct(flat[1:] - 2 * potentials + 0.2, flat)
    expected = 4 * direct_energy_eV(host.cell_A, DIELECTRIC) + 0.4
    assert found.value_eV == pytest.approx(expected, abs=1e-3)


def test_noise_is_averaged_over_the_far_atoms_alone(correct, host, far):
    outside, potentials = far
    rng = np.random.default_rng(5)
    noise = rng.normal(0.0, 0.05, 63)
    host_V = rng.normal(0.0, 2.0, 64)
    found = correct(host_V[1:] - 2 * potentials + noise, host_V)
    chosen = noise[outside]
    expected = 4 * direct_energy_eV(host.cell_A, DIELECTRIC) + 2 * chosen.mean()
    assert found.value_eV == pytest.approx(expected, abs=1e-3)
    spread = chosen.std(ddof=1) / np.sqrt(len(chosen))
    assert found.uncertainty_eV == pytest.approx(2 * spread, rel=1e-3)


def test_a_neutral_state_needs_none(states, host, sites):
    neutral = next(state for state in states if state.key.charge == 0)
    found = efnv_correction(neutral, host, sites[0], DIELECTRIC.tolist(), np.zeros(63), np.zeros(64))
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


@st.composite
def crystals(draw):
    """A made-up crystal of 40 to 300 atoms, its first atom a vacancy away from the origin, and a charge."""
    cell = draw(cells())
    counts = draw(st.sampled_from([(3, 3, 5), (4, 4, 5), (4, 6, 12)]))
    grid = np.stack(np.meshgrid(*[np.arange(n) / n for n in counts], indexing="ij"), axis=-1).reshape(-1, 3)
    place = np.array([draw(st.floats(0.0, 1.0)) for _ in range(3)])
    positions_A = (grid + place) @ cell
    numbers = np.full(len(grid), 14)
    host = HostCrystal("Si", "P1", numbers, positions_A, cell, np.eye(3, dtype=int), numbers, positions_A, cell, 8.0)
    charge = draw(st.sampled_from([-4, -3, -2, -1, 1, 2, 3, 4]))
    return host, DefectSite("v_Si", "v_Si", "vacancy", None, "Si", tuple(place), 1), charge


def vacancy_of(host, charge, displacements_A=0.0):
    numbers = host.numbers[1:]
    multiplicity = lowest_multiplicity(numbers, charge)
    key, family = DefectKey("v_Si", charge), "v_Si/unperturbed"
    positions_A = host.positions_A[1:] + displacements_A
    frame = Frame(numbers, positions_A, host.cell_A, key, multiplicity, Origin.MINIMUM, family)
    return StateEnergy(key, frame, -100.0, 0.01, True)


def changed(host, vectors, turn):
    """The same crystal with other supercell vectors, turned."""
    cell_A, positions_A = vectors @ host.cell_A @ turn.T, host.positions_A @ turn.T
    return replace(host, cell_A=cell_A, positions_A=positions_A, unit_cell_A=cell_A, unit_positions_A=positions_A)


@settings(max_examples=12, deadline=None)
@given(crystals(), tensors(), st.floats(-0.5, 0.5))
def test_a_pure_point_charge_and_an_offset_are_met_at_any_dielectric(crystal, dielectric, offset_V):
    host, site, charge = crystal
    state = vacancy_of(host, charge, 0.1 * np.sin(np.arange(3 * len(host.numbers) - 3).reshape(-1, 3)))
    center = host.positions_A[0]
    potentials = [direct_potential_V(host.cell_A, dielectric, p - center) for p in state.frame.positions_A]
    host_V = np.cos(np.arange(len(host.numbers)))
    found = efnv_correction(
        state, host, site, dielectric.tolist(), host_V[1:] + charge * np.array(potentials) + offset_V, host_V
    )
    expected_eV = charge**2 * direct_energy_eV(host.cell_A, dielectric) - charge * offset_V
    assert found.value_eV == pytest.approx(expected_eV, abs=CLOSE_EV)
    assert found.uncertainty_eV == pytest.approx(0.0, abs=CLOSE_EV)
    mistake(
        "engines",
        "eFNV, principal values of the tensor up to 20 times apart, along any axes",
        said="".join(alignment_warnings([state], [found])),
        when="run",
        right="within 1 meV of an independent Ewald sum",
    )


@pytest.mark.parametrize("constant", [100.0, 400.0, 1000.0])
def test_a_large_dielectric_constant_costs_no_accuracy(correct, host, state, constant):
    tensor = constant * np.eye(3)
    positions_A = state.frame.positions_A
    potentials = np.array([direct_potential_V(host.cell_A, tensor, position_A) for position_A in positions_A])
    found = correct(0.3 - 2 * potentials, np.zeros(64), tensor)
    assert found.value_eV == pytest.approx(4 * direct_energy_eV(host.cell_A, tensor) + 2 * 0.3, abs=CLOSE_EV)
    mistake(
        "engines",
        "eFNV, dielectric constant 100, 400 or 1000 (q = -2, 13 A)",
        said="".join(alignment_warnings([state], [found])),
        when="run",
        right="point charge and alignment within 1 meV of an independent Ewald sum",
    )


@settings(max_examples=30, deadline=None)
@given(crystals(), tensors(), turns(), other_vectors())
def test_neither_orientation_nor_choice_of_vectors_matters(crystal, dielectric, turn, vectors):
    """With potentials that are no point charge's, so that which atoms are far away shows."""
    host, site, charge = crystal
    host_V = np.cos(np.arange(len(host.numbers)))
    defect_V = np.sin(np.arange(1, len(host.numbers)))
    before = efnv_correction(vacancy_of(host, charge), host, site, dielectric.tolist(), defect_V, host_V)
    other = changed(host, vectors, turn)
    place = tuple(other.positions_A[0] @ np.linalg.inv(other.cell_A))
    tensor = turn @ dielectric @ turn.T
    after = efnv_correction(
        vacancy_of(other, charge), other, replace(site, frac_coords=place), tensor.tolist(), defect_V, host_V
    )
    assert after.value_eV == pytest.approx(before.value_eV, abs=1e-6)
    assert after.uncertainty_eV == pytest.approx(before.uncertainty_eV, abs=1e-6)
    right = "the same correction for every choice of vectors and every orientation"
    mistake(
        "engines",
        "eFNV in a skewed, left-handed or turned supercell of the same lattice",
        said="",
        when="run",
        right=right,
    )


def test_the_order_of_the_atoms_does_not_matter(state, host, sites):
    rng = np.random.default_rng(2)
    host_V, defect_V, order = rng.normal(size=64), rng.normal(size=63), rng.permutation(63)
    expected = efnv_correction(state, host, sites[0], DIELECTRIC.tolist(), defect_V, host_V)
    frame = replace(state.frame, numbers=state.frame.numbers[order], positions_A=state.frame.positions_A[order])
    found = efnv_correction(replace(state, frame=frame), host, sites[0], DIELECTRIC.tolist(), defect_V[order], host_V)
    assert found.value_eV == pytest.approx(expected.value_eV, abs=1e-9)


def test_the_far_atoms_and_the_error_are_doped_s_where_its_sum_converges(state, host, sites, energies):
    from defectscape.files.quiet import quiet
    from defectscape.thermo.diagram import defect_entry

    rng = np.random.default_rng(3)
    host_V, defect_V = rng.normal(size=64), rng.normal(size=63)
    entry = defect_entry(state, host, sites[0], energies, UNCORRECTED)
    entry.calculation_metadata |= {"defect_site_potentials": defect_V, "bulk_site_potentials": host_V}
    with quiet("doped"):
        theirs, error_eV = entry.get_kumagai_correction(
            dielectric=DIELECTRIC, return_correction_error=True, verbose=False
        )
    found = efnv_correction(state, host, sites[0], DIELECTRIC.tolist(), defect_V, host_V)
    assert found.value_eV == pytest.approx(theirs.correction_energy, abs=1e-4)
    assert found.uncertainty_eV == pytest.approx(error_eV, abs=1e-4)


def test_too_few_far_atoms_are_refused(state, host, sites):
    """A frame whose far atoms are all gone has nothing to be aligned by."""
    near = nearest_A(state.frame.positions_A, host.cell_A) < host.cell_A[0, 0] / 2
    frame = replace(state.frame, numbers=state.frame.numbers[near], positions_A=state.frame.positions_A[near])
    with pytest.raises(ThermoError, match="0 atoms outside the sphere") as caught:
        efnv_correction(
            replace(state, frame=frame), host, sites[0], DIELECTRIC.tolist(), np.zeros(near.sum()), np.zeros(64)
        )
    right = "refused, no number from one atom"
    mistake("engines", "eFNV without two atoms far from the defect", said=caught.value, when="run", right=right)


def test_a_scattered_alignment_is_a_warning(state):
    flat, scattered = FiniteSizeCorrection(0.3, EFNV_LABEL, 0.04), FiniteSizeCorrection(0.3, EFNV_LABEL, 0.06)
    assert alignment_warnings([state], [flat]) == []
    (line,) = alignment_warnings([state, state], [flat, scattered])
    assert line.startswith("v_Cd_-2: ")
    assert "60 meV" in line
    right = "the uncertainty is part of the error bar, too"
    mistake(
        "engines",
        "eFNV whose potentials scatter far from the defect",
        said=line,
        when="run (in the report)",
        right=right,
    )
