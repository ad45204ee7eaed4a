"""The Ewald sum against one written down term by term, over tensors and cells of any shape."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core import Lattice, Structure

from defectscape.domain.errors import ThermoError
from defectscape.thermo.ewald import point_charge_energy_eV, point_charge_potentials_V
from support.crystals import cells, other_vectors, tensors, turns
from support.direct_sum import direct_energy_eV, direct_potential_V

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
def test_neither_orientation_nor_choice_of_vectors_matters(cell, dielectric, fractions, turn, vectors):
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
