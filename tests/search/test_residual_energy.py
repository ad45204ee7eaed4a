"""What relaxing a verified ground state further would gain is never nothing while forces are left."""

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
from defectscape.search.residual_energy import relaxation_gain_eV, residual_energy
from defectscape.search.verification_criterion import harmonic_residual_eV
from defectscape.settings.search import SearchSettings

STIFFNESS_eV_A2 = 2.0
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
