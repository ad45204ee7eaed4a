"""What relaxing a verified ground state further would gain is never nothing while forces are left."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.harmonic import SpringCalculator

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.search.surface import SurfacePoint
from defectscape.settings.search import Search
from defectscape.stages.ground_states import left_eV

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


@pytest.mark.parametrize("force_eV_A", [0.3, 0.018])
def test_the_gain_counts_also_below_the_convergence_of_the_search(force_eV_A: float) -> None:
    positions = np.array([[0.0, 0, 0], [2.8, 0, 0], [0, 2.8, 0]])
    away = np.array([[force_eV_A / STIFFNESS_eV_A2, 0, 0], [0.0, 0, 0], [0.0, 0, 0]])
    frame = Frame(
        np.array([48, 52, 52]), positions, np.eye(3) * 9, DefectKey("v_Cd", 0), 1,
        Origin.MINIMUM, "v_Cd/found",
    )  # fmt: skip
    found = left_eV(frame, TwoSprings(positions + away), SEARCH, force_eV_A)
    assert found is not None
    gain_eV, spread_eV = found
    assert gain_eV == pytest.approx(force_eV_A**2 / (2 * STIFFNESS_eV_A2), rel=0.03)
    assert spread_eV == 0.0
