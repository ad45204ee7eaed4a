"""A model's curve moved onto the engine's points."""

import numpy as np
import pytest

from defectscape.domain.frame import Origin
from defectscape.thermo.ccd import trace_ccd
from defectscape.thermo.ccd_correction import corrected, correction_eV, left_out_rms_eV
from defectscape.thermo.path import check_order, configuration_path


@pytest.fixture
def path(vacancy):
    initial = vacancy(0)
    positions = initial.positions_A.copy()
    positions[5] += [0.4, 0.3, 0.1]
    final = vacancy(-1).moved(positions, origin=Origin.MINIMUM)
    return configuration_path(initial, final, points=9, extend=0.4)


def diagram(path, k_initial, k_final):
    Q = {f.frame_id: q for f, q in zip(path.frames_initial, path.Q_amu05_A, strict=True)}
    Q |= {f.frame_id: q for f, q in zip(path.frames_final, path.Q_amu05_A, strict=True)}

    def energy(frame):
        if frame.charge == 0:
            return -10.0 + 0.5 * k_initial * Q[frame.frame_id] ** 2
        return -9.0 + 0.5 * k_final * (Q[frame.frame_id] - path.dQ_amu05_A) ** 2

    return trace_ccd(path, energy, 0.3)


def test_a_model_too_soft_becomes_the_engine(path):
    model, engine = diagram(path, 0.2, 0.3), diagram(path, 0.26, 0.36)
    pairs = []
    for name, (own, other) in (("initial", (2, 6)), ("final", (6, 2))):
        points = check_order(path.fractions, own, other)[:5]
        ours, theirs = (getattr(c, f"energies_{name}_eV") for c in (model, engine))
        pairs.append((points, [float(theirs[p] - ours[p]) for p in points]))
    mended = corrected(model, *pairs)
    for name in ("initial", "final"):
        ours, theirs, before = (getattr(c, f"energies_{name}_eV") for c in (mended, engine, model))
        worst = np.abs(before - theirs).max()
        assert np.abs(ours - theirs).max() < 0.15 * worst
    assert mended.fit_initial.phonon_energy_eV == pytest.approx(engine.fit_initial.phonon_energy_eV, rel=0.02)
    assert mended.dE_eV == model.dE_eV


def test_known_points_are_met_and_nothing_is_extrapolated():
    Q = np.linspace(-1.0, 2.0, 7)
    found = correction_eV(Q, [4, 1, 2], [0.3, 0.1, 0.0])
    assert found[[1, 2, 4]] == pytest.approx([0.1, 0.0, 0.3])
    assert found[0] == pytest.approx(0.1)
    assert found[5:] == pytest.approx([0.3, 0.3])
    assert 0.0 < found[3] < 0.3


def test_a_point_left_out_tells_what_the_correction_does_not_know():
    Q = np.linspace(0.0, 4.0, 5)
    smooth = [float(0.01 * q) for q in Q]
    assert left_out_rms_eV(Q, range(5), smooth, 0) == pytest.approx(0.0, abs=1e-12)
    bumpy = [0.0, 0.0, 0.1, 0.0, 0.0]
    found = left_out_rms_eV(Q, range(5), bumpy, 0)
    assert found > 0.05
    assert left_out_rms_eV(Q, [0, 4], [0.0, 0.1], 0) is None


def test_two_points_move_nothing(path):
    model = diagram(path, 0.2, 0.3)
    same = corrected(model, ([2, 6], [0.0, 0.1]), ([6, 2], [0.0, 0.1]))
    assert np.array_equal(same.energies_initial_eV, model.energies_initial_eV)
