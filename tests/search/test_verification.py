"""Verification counts its labels, keeps the lowest, and survives failed ones."""

import numpy as np
import pytest
from ase.calculators.emt import EMT

from defectscape.domain.frame import Origin
from defectscape.domain.label import Label
from defectscape.domain.minimum import Minimum
from defectscape.files.atoms import to_atoms
from defectscape.search.relaxation import nudged
from defectscape.search.verification import verify
from defectscape.settings.search import Verification


class EmtLabels:
    """EMT as the engine, which may fail at a given call or misjudge an energy."""

    def __init__(self, fails_at=None, adds_eV=lambda call: 0.0):
        self.frames = []
        self.fails_at, self.adds_eV = fails_at, adds_eV

    def __call__(self, frame):
        self.frames.append(frame)
        if len(self.frames) == self.fails_at:
            return None
        atoms = to_atoms(frame)
        atoms.calc = EMT()
        energy = atoms.get_potential_energy() + self.adds_eV(len(self.frames))
        return Label(energy, atoms.get_forces())


@pytest.fixture(scope="module")
def minimum(vacancy):
    frame = nudged(vacancy, 4, 0.05)
    return Minimum(0, frame, 1.5, (1.4, 1.6), 0.01, 0.02, ("x",), "C1", 0.1, False)


def _settings(steps, fmax_eV_A=0.05):
    return Verification(minima_per_charge=1, relax_steps=steps, fmax_eV_A=fmax_eV_A)


def test_without_steps_one_label_is_computed(minimum):
    engine = EmtLabels()
    verified, done = verify(minimum, engine, _settings(0))
    assert len(engine.frames) == len(done) == 1
    assert engine.frames[0] is minimum.frame
    assert verified.frame is minimum.frame
    assert verified.label is verified.final_label
    assert verified.relax_steps == 0
    assert verified.model_error_eV == pytest.approx(1.5 - verified.label.energy_eV)


def test_every_step_is_one_label_and_the_energy_falls(minimum):
    engine = EmtLabels()
    verified, done = verify(minimum, engine, _settings(4, fmax_eV_A=1e-6))
    assert len(engine.frames) == len(done) == 5
    assert verified.relax_steps == 4
    assert len({frame.frame_id for frame, _ in done}) == 5
    assert verified.final_label.energy_eV == min(label.energy_eV for _, label in done)
    assert verified.final_label.energy_eV < verified.label.energy_eV
    assert verified.frame.origin is Origin.RELAXATION
    assert verified.frame.parent == minimum.frame.frame_id
    assert verified.frame.family == minimum.frame.family


def test_it_stops_at_convergence(minimum):
    engine = EmtLabels()
    verified, _ = verify(minimum, engine, _settings(100))
    assert verified.final_label.fmax_eV_A < 0.05
    assert verified.relax_steps < 30


def test_the_lowest_geometry_is_kept_not_the_last(minimum):
    engine = EmtLabels(adds_eV=lambda call: 10.0 if call > 2 else 0.0)
    verified, done = verify(minimum, engine, _settings(3, fmax_eV_A=1e-6))
    assert verified.final_label is done[1][1]
    assert verified.frame is done[1][0]


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_failed_label_ends_it_with_what_is_there(minimum, fails_at):
    engine = EmtLabels(fails_at=fails_at)
    verified, done = verify(minimum, engine, _settings(5, fmax_eV_A=1e-6))
    assert len(engine.frames) == fails_at
    assert len(done) == fails_at - 1
    if fails_at == 1:
        assert verified.label is None
        assert verified.final_label is None
        assert verified.model_error_eV is None
        assert verified.frame is minimum.frame
    else:
        assert verified.relax_steps == fails_at - 2
        assert np.isfinite(verified.final_label.energy_eV)
