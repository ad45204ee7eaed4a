"""Fingerprints: invariant where the physics is, and sharpest near the defect."""

import time

import numpy as np
import pytest

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.selection.descriptors import frame_descriptors

A = 5.43
CENTRE = np.array([0.5, 0.5, 0.5])


def vacancy(charge=0):
    """Diamond silicon, 2x2x2, without the atom in the middle."""
    base = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0]]) / 4
    base = np.concatenate([base, base + 0.25])
    grid = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    positions = (base[None] + grid[:, None]).reshape(-1, 3) * A
    positions = positions[np.linalg.norm(positions - A, axis=1) > 0.1]
    numbers = np.full(63, 14)
    key = DefectKey("v_Si", charge)
    return Frame(numbers, positions, 2 * A * np.eye(3), key, 1, Origin.START, "v_Si/unperturbed")


def rattled(frame, seed=0, amplitude_A=0.1):
    moves = np.random.default_rng(seed).normal(0, amplitude_A, frame.positions_A.shape)
    return frame.moved(frame.positions_A + moves, origin=Origin.RATTLE)


def rebuilt(frame, positions, cell=None):
    cell = frame.cell_A if cell is None else cell
    return Frame(frame.numbers, positions, cell, frame.key, 1, Origin.RATTLE, frame.family)


@pytest.mark.parametrize("centre", [None, CENTRE])
def test_order_rotation_and_wrapping_do_not_matter(centre):
    frame = rattled(vacancy())
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    turned = rebuilt(frame, frame.positions_A @ turn, frame.cell_A @ turn)
    shuffled = rebuilt(frame, frame.positions_A[::-1])
    wrapped = rebuilt(frame, frame.positions_A + frame.cell_A[1] * (np.arange(63)[:, None] % 2))
    first, *others = frame_descriptors([frame, turned, shuffled, wrapped], centre)
    for other in others:
        assert np.allclose(other, first, rtol=1e-6, atol=1e-6 * np.abs(first).max())


def test_charge_does_not_enter_and_geometry_does():
    neutral, charged, moved = frame_descriptors([vacancy(0), vacancy(-2), rattled(vacancy())], CENTRE)
    assert np.array_equal(neutral, charged)
    assert np.linalg.norm(moved - neutral) > 1e-2 * np.linalg.norm(neutral)


def test_a_move_near_the_defect_counts_more_than_one_far_away():
    frame = vacancy()
    distances = np.linalg.norm(frame.positions_A - A, axis=1)
    near, far = int(np.argmin(distances)), int(np.argmin(np.linalg.norm(frame.positions_A, axis=1)))
    changed = []
    for atom in (near, far):
        positions = frame.positions_A.copy()
        positions[atom] += [0.2, 0.1, 0.0]
        changed.append(rebuilt(frame, positions))
    start, one, two = frame_descriptors([frame, *changed], CENTRE)
    half = len(start) // 2
    assert np.linalg.norm((one - start)[:half]) > 5 * np.linalg.norm((two - start)[:half])
    assert np.linalg.norm((two - start)[half:]) > np.linalg.norm((two - start)[:half])


def test_shapes_repeatability_and_speed():
    frames = [rattled(vacancy(), seed) for seed in range(10)]
    started = time.process_time()
    values = frame_descriptors(frames, CENTRE)
    assert (time.process_time() - started) / len(frames) < 0.2
    assert values.shape[0] == 10
    assert values.shape[1] == 2 * frame_descriptors(frames[:1], None).shape[1] <= 1000
    assert values.tobytes() == frame_descriptors(frames, CENTRE).tobytes()
    assert frame_descriptors([], CENTRE).shape == (0, 0)
