"""The point-charge correction: exact limits, scaling, and an Ewald sum written down directly."""

from itertools import product

import numpy as np
import pytest
from scipy.special import erfc

from defectscape.domain.errors import ThermoError
from defectscape.settings.thermo import NoCorrection, PointChargeCorrection
from defectscape.thermo.corrections import finite_size_correction, point_charge_energy_eV
from support.mistakes import mistake

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
