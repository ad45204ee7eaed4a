"""Finite-size corrections: point charge, eFNV, and the Ewald sum under both."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core import Lattice, Structure
from scipy.special import erfc

from defectscape.domain.energies import FiniteSizeCorrection, StateEnergy
from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.settings.thermo import NoCorrection, PointChargeCorrection
from defectscape.thermo.chempots import chemical_potential_limits
from defectscape.thermo.corrections import finite_size_correction
from defectscape.thermo.efnv import EFNV_LABEL, alignment_warnings, efnv_correction
from defectscape.thermo.ewald import point_charge_energy_eV, point_charge_potentials_V
from defectscape.thermo.formation import formation_energies
from support.crystals import cells, direct_energy_eV, direct_potential_V, nearest_A, other_vectors, tensors, turns
from support.mistakes import mistake

# The eFNV correction against an Ewald sum and an average written out here.


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


# The point-charge correction: exact limits, scaling, and an Ewald sum written down directly.


E2_EV_A = 14.3996454
MADELUNG_CUBE = 2.8372974795


def direct_ewald_eV(cell, dielectric, gamma):
    """Anisotropic Ewald sum, term by term (Kumagai and Oba 2014, eq. 14), no transformation."""
    volume = np.linalg.det(cell)
    inverse = np.linalg.inv(dielectric)
    root = np.sqrt(np.linalg.det(dielectric))
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    steps = np.array([n for n in product(range(-9, 10), repeat=3) if any(n)])
    r = steps @ cell
    g = steps @ reciprocal
    rr = np.sqrt(np.einsum("ni,ij,nj->n", r, inverse, r))
    gg = np.einsum("ni,ij,nj->n", g, dielectric, g)
    potential = (
        np.sum(erfc(gamma * rr) / rr) / root
        + np.sum(4 * np.pi / volume * np.exp(-gg / (4 * gamma**2)) / gg)
        - np.pi / (volume * gamma**2)
        - 2 * gamma / np.sqrt(np.pi) / root
    )
    return -0.5 * potential * E2_EV_A


@pytest.mark.parametrize(("side", "epsilon"), [(10.0, 1.0), (10.0, 10.0), (23.4, 6.2), (9.0, 300.0)])
def test_cube_has_the_analytic_madelung_energy(side, epsilon):
    value = point_charge_energy_eV(side * np.eye(3), epsilon * np.eye(3))
    assert value == pytest.approx(MADELUNG_CUBE * E2_EV_A / (2 * epsilon * side), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.45, 0.6])
def test_anisotropic_cell_and_dielectric_agree_with_a_direct_sum(gamma):
    cell = np.array([[10.0, 0, 0], [-4.0, 9.0, 0], [1.5, 2.0, 12.0]])
    dielectric = np.array([[9.0, 1.0, 0.5], [1.0, 4.0, -0.7], [0.5, -0.7, 6.0]])
    expected = direct_ewald_eV(cell, dielectric, gamma)
    assert point_charge_energy_eV(cell, dielectric) == pytest.approx(expected, rel=1e-6)
    right = "one part in a million of a sum term by term"
    mistake("engines", "point charge in a skewed cell with an anisotropic tensor", said="", when="run", right=right)


def test_same_lattice_in_a_skewed_or_left_handed_basis_gives_the_same_energy():
    cell = np.diag([8.0, 10.0, 13.0])
    dielectric = np.diag([5.0, 9.0, 7.0])
    value = point_charge_energy_eV(cell, dielectric)
    skewed = np.array([[1, 0, 0], [4, 1, 0], [-3, 2, 1]]) @ cell
    assert point_charge_energy_eV(skewed, dielectric) == pytest.approx(value, rel=1e-6)
    assert point_charge_energy_eV(cell[::-1], dielectric) == pytest.approx(value, rel=1e-6)


def test_turning_crystal_and_tensor_together_changes_nothing():
    cell = np.diag([8.0, 10.0, 13.0])
    dielectric = np.diag([5.0, 9.0, 7.0])
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    value = point_charge_energy_eV(cell, dielectric)
    turned = point_charge_energy_eV(cell @ turn.T, turn @ dielectric @ turn.T)
    assert turned == pytest.approx(value, rel=1e-6)
    assert point_charge_energy_eV(cell @ turn.T, dielectric) != pytest.approx(value, rel=1e-3)


def test_correction_is_positive_and_goes_as_charge_squared_over_length_and_epsilon():
    tensor = np.array([[10.0, 1.0, 0.0], [1.0, 7.0, 0.0], [0.0, 0.0, 12.0]])
    cell = np.diag([11.0, 13.0, 12.0])

    def value(charge, scale=1.0, screening=1.0):
        settings = PointChargeCorrection(kind="point_charge", dielectric=(screening * tensor).tolist())
        return finite_size_correction(charge, scale * cell, settings).value_eV

    one = value(1)
    assert one > 0
    assert value(0) == 0.0
    assert value(-1) == one
    assert value(-3) == pytest.approx(9 * one)
    assert value(1, scale=2.0) == pytest.approx(one / 2, rel=1e-6)
    assert value(1, screening=3.0) == pytest.approx(one / 3, rel=1e-6)


def test_labels_say_what_was_done():
    settings = PointChargeCorrection(kind="point_charge", dielectric=np.eye(3).tolist())
    none = finite_size_correction(-2, np.eye(3) * 10, NoCorrection(kind="none"))
    assert (none.value_eV, none.label) == (0.0, "none")
    label = finite_size_correction(-2, np.eye(3) * 10, settings).label
    assert label == "point charge (no alignment)"


@pytest.mark.parametrize(
    "dielectric",
    [
        np.diag([10.0, 10.0, 0.0]),
        np.diag([10.0, -3.0, 10.0]),
        np.diag([10.0, 0.5, 10.0]),
        np.array([[10.0, 1.0, 0.0], [0.0, 10.0, 0.0], [0.0, 0.0, 10.0]]),
        np.diag([10.0, np.nan, 10.0]),
        np.eye(2),
    ],
    ids=["singular", "negative", "below vacuum", "asymmetric", "nan", "shape"],
)
def test_unphysical_dielectric_is_refused(dielectric):
    with pytest.raises(ThermoError, match="dielectric"):
        point_charge_energy_eV(np.eye(3) * 10, dielectric)


def test_flat_cell_is_refused():
    with pytest.raises(ThermoError, match="volume"):
        point_charge_energy_eV(np.diag([10.0, 10.0, 0.0]), np.eye(3))


# The Ewald sum against one written down term by term, over tensors and cells of any shape.


CLOSE_V = 1e-6
"""A charge of 4 multiplies it by 16 in the energy, which stays far below 1 meV."""

places = st.lists(st.tuples(*[st.floats(0.05, 0.95)] * 3), min_size=1, max_size=3).map(np.array)
some = settings(max_examples=30, deadline=None)


@some
@given(cells(), tensors(), places, st.floats(0.7, 1.4))
def test_the_sum_is_the_direct_one(cell, dielectric, fractions, width):
    offsets = fractions @ cell
    expected = [direct_potential_V(cell, dielectric, offset, width) for offset in offsets]
    assert point_charge_potentials_V(cell, dielectric, offsets) == pytest.approx(expected, abs=CLOSE_V)
    expected_eV = direct_energy_eV(cell, dielectric, width)
    assert point_charge_energy_eV(cell, dielectric) == pytest.approx(expected_eV, abs=CLOSE_V)


@some
@given(cells(), tensors(), places, st.floats(0.5, 2.0))
def test_the_splitting_does_not_matter(cell, dielectric, fractions, splitting):
    offsets = fractions @ cell
    expected = point_charge_potentials_V(cell, dielectric, offsets)
    found = point_charge_potentials_V(cell, dielectric, offsets, splitting=splitting)
    assert found == pytest.approx(expected, abs=1e-10)
    energy_eV = point_charge_energy_eV(cell, dielectric, splitting=splitting)
    assert energy_eV == pytest.approx(point_charge_energy_eV(cell, dielectric), abs=1e-10)


@some
@given(cells(), tensors(), places, st.floats(1.0, 50.0), st.floats(0.5, 3.0))
def test_both_go_as_one_over_the_dielectric_and_the_size(cell, dielectric, fractions, screening, scale):
    offsets = fractions @ cell
    expected = point_charge_potentials_V(cell, dielectric, offsets) / (screening * scale)
    assert point_charge_potentials_V(scale * cell, screening * dielectric, scale * offsets) == pytest.approx(
        expected, abs=1e-10
    )
    energy_eV = point_charge_energy_eV(cell, dielectric) / (screening * scale)
    assert point_charge_energy_eV(scale * cell, screening * dielectric) == pytest.approx(energy_eV, abs=1e-10)


@some
@given(cells(), tensors(), places, turns(), other_vectors())
def test_the_sum_knows_neither_orientation_nor_choice_of_vectors(cell, dielectric, fractions, turn, vectors):
    offsets = fractions @ cell
    turned = (vectors @ cell) @ turn.T, turn @ dielectric @ turn.T
    expected = point_charge_potentials_V(cell, dielectric, offsets)
    assert point_charge_potentials_V(*turned, offsets @ turn.T) == pytest.approx(expected, abs=1e-9)
    assert point_charge_energy_eV(*turned) == pytest.approx(point_charge_energy_eV(cell, dielectric), abs=1e-9)


@some
@given(cells(), st.floats(1.0, 1000.0))
def test_an_isotropic_one_is_pymatgen_s(cell, epsilon):
    lattice = Lattice(cell).get_lll_reduced_lattice()
    theirs_eV = -EwaldSummation(Structure(lattice, ["H+"], [[0.0, 0.0, 0.0]])).total_energy / epsilon
    assert point_charge_energy_eV(cell, epsilon * np.eye(3)) == pytest.approx(theirs_eV, abs=1e-6)


def test_the_mean_potential_is_zero():
    """The background makes it so, as a uniform grid of places that misses the charge shows roughly."""
    cell, dielectric = np.diag([9.0, 11.0, 13.0]), np.diag([20.0, 300.0, 90.0])
    grid = (np.stack(np.meshgrid(*[np.arange(12)] * 3), axis=-1).reshape(-1, 3) + 0.5) / 12
    potentials = point_charge_potentials_V(cell, dielectric, grid @ cell)
    assert abs(potentials.mean()) < 0.02 * potentials.std()


def test_close_to_the_charge_it_is_coulomb_s_law_of_the_dielectric():
    """At 0.01 A in a cell of 20 A the images do not matter."""
    dielectric = np.diag([4.0, 9.0, 25.0])
    (found,) = point_charge_potentials_V(20 * np.eye(3), dielectric, np.array([[0.0, 0.0, 0.01]]))
    assert found == pytest.approx(14.39964548 / (np.sqrt(4 * 9 * 25) * 0.01 / 5), rel=2e-3)


def test_flat_cells_are_refused_whatever_their_size():
    with pytest.raises(ThermoError, match="volume"):
        point_charge_potentials_V(
            1e3 * np.array([[1.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 1e-9]]), np.eye(3), np.ones((1, 3))
        )
