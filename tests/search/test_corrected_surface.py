"""The corrected surface has the engine's forces where there is a label, and the model's curvature."""

import numpy as np
import pytest

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.domain.prediction import Prediction
from defectscape.search.corrected_surface import CorrectedSurface

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
