"""The tied surface has the engine's forces where it is tied, and the model's curvature."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
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
    tied = TiedSurface(model, [(frame, Label(-3.0, forces))])
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


def test_with_several_ties_the_engine_is_right_at_all_of_them_and_its_curvature_between(frame):
    """An engine three times as stiff as the model, asked at two geometries."""

    def label(where):
        away = where.positions_A - frame.positions_A
        stiff = 3 * STIFFNESS_eV_A2
        return Label(0.5 * stiff * float(np.sum(away**2)), -stiff * away)

    shift = np.array([[0.06, 0, 0], [0, -0.04, 0], [0, 0, 0.02]])
    ties = [
        frame.moved(frame.positions_A + length * shift, origin=Origin.RELAXATION)
        for length in (1, 3)
    ]
    surface = TiedSurface(
        SpringSurface(frame.positions_A + 0.1), [(tie, label(tie)) for tie in ties]
    )
    for tie in ties:
        np.testing.assert_allclose(
            surface.evaluate(tie).forces_eV_A, label(tie).forces_eV_A, atol=0.02
        )
    between = frame.moved(frame.positions_A + 2 * shift, origin=Origin.RELAXATION)
    one = TiedSurface(SpringSurface(frame.positions_A + 0.1), [(ties[0], label(ties[0]))])
    errors = [
        np.abs(tied.evaluate(between).forces_eV_A - label(between).forces_eV_A).max()
        for tied in (one, surface)
    ]
    assert errors[1] < 0.2 * errors[0]
    gain = surface.evaluate(ties[1]).energy_eV - surface.evaluate(ties[0]).energy_eV
    assert gain == pytest.approx(label(ties[1]).energy_eV - label(ties[0]).energy_eV, abs=5e-3)
    force = surface.calculator(0)
    atoms = Atoms(frame.numbers, between.positions_A, cell=frame.cell_A, pbc=True)
    atoms.calc = force
    np.testing.assert_allclose(atoms.get_forces(), surface.evaluate(between).forces_eV_A)
