"""What is left between model and engine: the residual, the surface it corrects, the energy still to gain."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.calculators.harmonic import SpringCalculator

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.domain.prediction import Prediction
from defectscape.search.corrected_surface import CorrectedSurface
from defectscape.search.residual import ENERGY_NOISE_EV, FORCE_NOISE_EV_A, Residual
from defectscape.search.residual_energy import relaxation_gain_eV, residual_energy
from defectscape.search.verification_criterion import harmonic_residual_eV
from defectscape.settings.search import SearchSettings

# The corrected surface has the engine's forces where there is a label, and the model's curvature.


STIFFNESS_eV_A2 = 2.0


class SpringSurface:
    """Every atom on a spring to where the model has its minimum."""

    def __init__(self, minimum_A):
        self.minimum_A = minimum_A

    def evaluate_many(self, frames):
        return [self.evaluate(frame) for frame in frames]

    def evaluate(self, frame):
        away = frame.positions_A - self.minimum_A
        energy = 0.5 * STIFFNESS_eV_A2 * float(np.sum(away**2))
        return Prediction(energy, (energy,), -STIFFNESS_eV_A2 * away, np.zeros(len(frame)))


@pytest.fixture
def frame():
    positions = np.array([[0.0, 0, 0], [2.5, 0, 0], [0, 2.5, 0.1]])
    return Frame(
        np.array([48, 52, 52]),
        positions,
        np.eye(3) * 8,
        DefectKey("v_Cd", 0),
        1,
        Origin.MINIMUM,
        "v_Cd/found",
    )


def test_the_gain_is_the_engines_whatever_the_model_thinks_of_its_own_minimum(frame):
    """With F^2 / 2k of the engine's force, wherever the model's springs are anchored."""
    forces = np.array([[0.1, 0, 0], [0, -0.2, 0], [0, 0, 0.0]])
    model = SpringSurface(frame.positions_A + 0.3)
    corrected = CorrectedSurface(model, [(frame, Label(-3.0, forces))])
    here = corrected.evaluate(frame)
    np.testing.assert_allclose(here.forces_eV_A, forces, atol=1e-12)
    assert here.energy_eV == model.evaluate(frame).energy_eV
    moved = frame.moved(frame.positions_A + forces / STIFFNESS_eV_A2, origin=Origin.RELAXATION)
    there = corrected.evaluate(moved)
    assert np.abs(there.forces_eV_A).max() < 1e-12
    gain = here.energy_eV - there.energy_eV
    assert gain == pytest.approx(np.sum(forces**2) / (2 * STIFFNESS_eV_A2))


def test_with_several_observations_the_engine_is_right_at_all_of_them_and_its_curvature_between(
    frame,
):
    """An engine three times as stiff as the model, asked at two geometries."""

    def label(where):
        away = where.positions_A - frame.positions_A
        stiff = 3 * STIFFNESS_eV_A2
        return Label(0.5 * stiff * float(np.sum(away**2)), -stiff * away)

    shift = np.array([[0.06, 0, 0], [0, -0.04, 0], [0, 0, 0.02]])
    labelled = [frame.moved(frame.positions_A + length * shift, origin=Origin.RELAXATION) for length in (1, 3)]
    surface = CorrectedSurface(SpringSurface(frame.positions_A + 0.1), [(seen, label(seen)) for seen in labelled])
    for seen in labelled:
        np.testing.assert_allclose(surface.evaluate(seen).forces_eV_A, label(seen).forces_eV_A, atol=0.02)
    between = frame.moved(frame.positions_A + 2 * shift, origin=Origin.RELAXATION)
    one = CorrectedSurface(SpringSurface(frame.positions_A + 0.1), [(labelled[0], label(labelled[0]))])
    errors = [np.abs(each.evaluate(between).forces_eV_A - label(between).forces_eV_A).max() for each in (one, surface)]
    assert errors[1] < 0.2 * errors[0]
    gain = surface.evaluate(labelled[1]).energy_eV - surface.evaluate(labelled[0]).energy_eV
    assert gain == pytest.approx(label(labelled[1]).energy_eV - label(labelled[0]).energy_eV, abs=5e-3)


# The residual goes through what it was told, is smooth, and ends far away.


def _error(positions_A):
    """A smooth error of a model, and its gradient."""
    x = positions_A.ravel()
    phase = x @ np.linspace(-0.5, 0.6, len(x))
    slope = np.linspace(-0.5, 0.6, len(x)) * np.cos(phase) * 0.3
    return 0.3 * np.sin(phase), slope.reshape(positions_A.shape)


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(2)
    return rng.normal(0.0, 0.1, size=(5, 4, 3))


@pytest.fixture(scope="module")
def residual(points):
    values, gradients = zip(*(_error(point) for point in points), strict=True)
    return Residual(points, np.array(values), np.array(gradients))


def test_it_goes_through_what_it_was_told(residual, points):
    for point in points:
        value, gradient = residual(point)
        known, slope = _error(point)
        assert value == pytest.approx(known, abs=3 * ENERGY_NOISE_EV)
        np.testing.assert_allclose(gradient, slope, atol=3 * FORCE_NOISE_EV_A)


def test_its_gradient_is_the_derivative_of_its_value(residual, points):
    where = points.mean(axis=0) + 0.05
    _, gradient = residual(where)
    step = 1e-5
    for atom, axis in ((0, 0), (2, 1), (3, 2)):
        moved = [where.copy(), where.copy()]
        moved[0][atom, axis] += step
        moved[1][atom, axis] -= step
        slope = (residual(moved[0])[0] - residual(moved[1])[0]) / (2 * step)
        assert slope == pytest.approx(gradient[atom, axis], abs=1e-6)


def test_between_the_points_it_is_better_than_nothing(residual, points):
    middle = points[:2].mean(axis=0)
    value, gradient = residual(middle)
    known, slope = _error(middle)
    assert abs(value - known) < 0.2 * abs(known)
    assert np.abs(gradient - slope).max() < 0.5 * np.abs(slope).max()


def test_far_away_it_says_nothing(residual, points):
    value, gradient = residual(points[0] + 5.0)
    assert abs(value) < 1e-12
    assert np.abs(gradient).max() < 1e-12


# What relaxing a verified ground state further would gain is never nothing while forces are left.


SEARCH = SearchSettings(fmax_eV_A=0.02, max_steps=200, shortest_distance_A=1.5, cross_seeds_per_charge=0)


class TwoSprings:
    """Two members that agree: every atom on a spring."""

    def __init__(self, minimum_A):
        self.minimum_A = minimum_A

    def evaluate(self, frame):
        atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
        atoms.calc = SpringCalculator(self.minimum_A, STIFFNESS_eV_A2)
        energy = atoms.get_potential_energy()
        return Prediction(energy, (energy, energy), atoms.get_forces(), np.zeros(len(frame)))

    def evaluate_many(self, frames):
        return [self.evaluate(frame) for frame in frames]


FRAME = Frame(
    np.array([48, 52, 52]),
    np.array([[0.0, 0, 0], [2.8, 0, 0], [0, 2.8, 0]]),
    np.eye(3) * 9,
    DefectKey("v_Cd", 0),
    1,
    Origin.MINIMUM,
    "v_Cd/found",
)


def _away(force_eV_A):
    """Where the springs end if the first atom feels such a force."""
    away_A = np.zeros((3, 3))
    away_A[0, 0] = force_eV_A / STIFFNESS_eV_A2
    return FRAME.positions_A + away_A


@pytest.mark.parametrize("force_eV_A", [0.3, 0.018])
def test_the_gain_counts_also_below_the_convergence_of_the_search(force_eV_A: float) -> None:
    found = relaxation_gain_eV(FRAME, TwoSprings(_away(force_eV_A)), SEARCH, force_eV_A)
    assert found is not None
    gain_eV, spread_eV = found
    assert gain_eV == pytest.approx(force_eV_A**2 / (2 * STIFFNESS_eV_A2), rel=0.03)
    assert spread_eV == 0.0


def test_a_committee_that_disagrees_on_the_way_does_not_end_it() -> None:
    """The limit of a search is for geometries that no engine has labelled."""

    class Disagreeing(TwoSprings):
        def evaluate(self, frame):
            moved = np.linalg.norm(frame.positions_A - FRAME.positions_A, axis=1)
            return replace(super().evaluate(frame), force_std_eV_A=0.1 + moved)

    limits = SEARCH.model_copy(update={"stop_force_std_eV_A": 0.12})
    found = relaxation_gain_eV(FRAME, Disagreeing(_away(0.3)), limits, 0.3)
    assert found == relaxation_gain_eV(FRAME, TwoSprings(_away(0.3)), SEARCH, 0.3)


@pytest.mark.parametrize(("force_eV_A", "in_basin"), [(0.3, True), (0.8, False)])
def test_a_relaxation_that_leaves_the_basin_says_nothing(force_eV_A: float, in_basin: bool) -> None:
    """Then the forces alone do, with the curvature of a soft mode, and not the model's errors elsewhere."""
    surface = TwoSprings(_away(force_eV_A))
    found = residual_energy(FRAME, Label(-1.0, surface.evaluate(FRAME).forces_eV_A), surface, SEARCH)
    assert "the engine's forces" in found.origin
    if in_basin:
        assert found.uncertainty_eV == pytest.approx(force_eV_A**2 / (2 * STIFFNESS_eV_A2), rel=0.03)
    else:
        assert found.uncertainty_eV == pytest.approx(force_eV_A**2 / 2.0)
        assert "left the basin" in found.origin


class NoPriorHere(TwoSprings):
    """The model's prior fails."""

    def evaluate_many(self, frames):
        raise CalculationFailed("no convergence of the prior")


def test_where_the_prior_fails_a_soft_mode_stands_in_and_it_is_said() -> None:
    label = Label(-3.0, np.full((3, 3), 0.05))
    found = residual_energy(FRAME, label, NoPriorHere(FRAME.positions_A), SEARCH)
    assert found.uncertainty_eV == harmonic_residual_eV(label) > 0
    assert "its prior failed" in found.origin
