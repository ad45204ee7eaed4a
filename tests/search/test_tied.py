"""The tied surface has the engine's forces where it is tied, and the model's curvature."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.search.surface import SurfacePoint
from defectscape.search.tied import TiedSurface

STIFFNESS_eV_A2 = 2.0


class Springs(Calculator):
    """Every atom on a spring to where the model has its minimum."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, minimum_A):
        super().__init__()
        self.minimum_A = minimum_A

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        away = atoms.positions - self.minimum_A
        energy = 0.5 * STIFFNESS_eV_A2 * float(np.sum(away**2))
        self.results = {"energy": energy, "forces": -STIFFNESS_eV_A2 * away}


class SpringSurface:
    def __init__(self, minimum_A):
        self.minimum_A = minimum_A

    def calculator(self, charge):
        return Springs(self.minimum_A)

    def evaluate_many(self, frames):
        return [self.evaluate(frame) for frame in frames]

    def evaluate(self, frame):
        atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
        atoms.calc = self.calculator(frame.charge)
        energy = atoms.get_potential_energy()
        spread = np.zeros(len(frame))
        return SurfacePoint(energy, (energy,), atoms.get_forces(), spread)


@pytest.fixture
def frame():
    positions = np.array([[0.0, 0, 0], [2.5, 0, 0], [0, 2.5, 0.1]])
    return Frame(
        np.array([48, 52, 52]), positions, np.eye(3) * 8, DefectKey("v_Cd", 0), 1,
        Origin.MINIMUM, "v_Cd/found",
    )  # fmt: skip


def test_the_gain_is_the_engines_whatever_the_model_thinks_of_its_own_minimum(frame):
    """With F^2 / 2k of the engine's force, wherever the model's springs are anchored."""
    forces = np.array([[0.1, 0, 0], [0, -0.2, 0], [0, 0, 0.0]])
    model = SpringSurface(frame.positions_A + 0.3)
    tied = TiedSurface(model, frame, forces)
    np.testing.assert_allclose(tied.evaluate(frame).forces_eV_A, forces, atol=1e-12)
    atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
    atoms.calc = tied.calculator(0)
    before = atoms.get_potential_energy()
    atoms.positions += forces / STIFFNESS_eV_A2
    assert np.abs(atoms.get_forces()).max() < 1e-12
    gain = before - atoms.get_potential_energy()
    assert gain == pytest.approx(np.sum(forces**2) / (2 * STIFFNESS_eV_A2))
    moved = frame.moved(atoms.positions, origin=Origin.RELAXATION)
    assert tied.evaluate(moved).energy_eV == pytest.approx(atoms.get_potential_energy())
