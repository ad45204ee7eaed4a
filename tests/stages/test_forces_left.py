"""What relaxing a verified ground state further would gain is never nothing while forces are left."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.harmonic import SpringCalculator

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.search.residual_energy import left_eV, what_is_left
from defectscape.search.surface import SurfacePoint
from defectscape.settings.search import Search

STIFFNESS_eV_A2 = 2.0
SEARCH = Search(fmax_eV_A=0.02, max_steps=200, shortest_distance_A=1.5, cross_seeds_per_charge=0)


class TwoSprings:
    """Two members that agree: every atom on a spring."""

    def __init__(self, minimum_A):
        self.minimum_A = minimum_A

    def calculator(self, charge):
        return SpringCalculator(self.minimum_A, STIFFNESS_eV_A2)

    def evaluate(self, frame):
        atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
        atoms.calc = self.calculator(frame.charge)
        energy = atoms.get_potential_energy()
        return SurfacePoint(energy, (energy, energy), atoms.get_forces(), np.zeros(len(frame)))

    def evaluate_many(self, frames):
        return [self.evaluate(frame) for frame in frames]


FRAME = Frame(
    np.array([48, 52, 52]), np.array([[0.0, 0, 0], [2.8, 0, 0], [0, 2.8, 0]]), np.eye(3) * 9,
    DefectKey("v_Cd", 0), 1, Origin.MINIMUM, "v_Cd/found",
)  # fmt: skip


def _away(force_eV_A):
    """Where the springs end if the first atom feels such a force."""
    away_A = np.zeros((3, 3))
    away_A[0, 0] = force_eV_A / STIFFNESS_eV_A2
    return FRAME.positions_A + away_A


@pytest.mark.parametrize("force_eV_A", [0.3, 0.018])
def test_the_gain_counts_also_below_the_convergence_of_the_search(force_eV_A: float) -> None:
    found = left_eV(FRAME, TwoSprings(_away(force_eV_A)), SEARCH, force_eV_A)
    assert found is not None
    gain_eV, spread_eV = found
    assert gain_eV == pytest.approx(force_eV_A**2 / (2 * STIFFNESS_eV_A2), rel=0.03)
    assert spread_eV == 0.0


@pytest.mark.parametrize(("force_eV_A", "in_basin"), [(0.3, True), (0.8, False)])
def test_a_relaxation_that_leaves_the_basin_says_nothing(force_eV_A: float, in_basin: bool) -> None:
    """Then the forces alone do, with the curvature of a soft mode, and not the model's errors elsewhere."""
    surface = TwoSprings(_away(force_eV_A))
    found = what_is_left(FRAME, Label(-1.0, surface.evaluate(FRAME).forces_eV_A), surface, SEARCH)
    assert "the engine's forces" in found.origin
    if in_basin:
        assert found.gain_eV == pytest.approx(force_eV_A**2 / (2 * STIFFNESS_eV_A2), rel=0.03)
        assert found.uncertainty_eV == found.gain_eV
    else:
        assert found.gain_eV is None
        assert found.uncertainty_eV == pytest.approx(force_eV_A**2 / 2.0)
        assert "left the basin" in found.origin
