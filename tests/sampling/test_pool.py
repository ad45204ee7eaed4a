"""The pool: starts and rattles around their way back, independent, without overlaps."""

import logging

import numpy as np
import pytest

from defectscape.domain.frame import Origin
from defectscape.sampling.contacts import displacements_A, shortest_distance_A
from defectscape.sampling.pool import make_pool
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.starts import make_starts


@pytest.fixture(scope="module")
def starts(cdte, cdte_sites, sampling):
    return make_starts(cdte, pick_site(cdte_sites, "v_Cd"), 0, sampling, 3)


@pytest.fixture(scope="module")
def pool(starts, sampling):
    return make_pool(starts, starts[0], sampling, 3)


def test_pool_is_the_starts_and_one_frame_per_fraction_and_amplitude(pool, starts):
    assert pool[: len(starts)] == starts
    assert len(pool) == len(starts) * (1 + 2 * 2)
    assert len({frame.frame_id for frame in pool}) == len(pool)
    families = {start.frame_id: start.family for start in starts}
    for frame in pool[len(starts) :]:
        assert frame.origin is Origin.RATTLE
        assert frame.family == families[frame.parent]


def test_pool_keeps_composition_cell_charge_and_distances(pool, starts):
    for frame in pool:
        assert np.array_equal(frame.numbers, starts[0].numbers)
        assert np.array_equal(frame.cell_A, starts[0].cell_A)
        assert frame.key == starts[0].key
        assert shortest_distance_A(frame.positions_A, frame.cell_A) >= 1.5


def test_amplitude_is_the_standard_deviation_of_the_displacements(starts, sampling):
    only = sampling.model_copy(update={"rattle_amplitudes_A": [0.04], "relaxed_toward": []})
    start = starts[1]
    rattled = make_pool([start], starts[0], only, 3)[1]
    moves = displacements_A(start.positions_A, rattled.positions_A, start.cell_A)
    assert moves.std() == pytest.approx(0.04, rel=0.25)


def test_the_way_leads_to_the_unperturbed_geometry(starts, sampling):
    tiny = sampling.model_copy(update={"rattle_amplitudes_A": [1e-4], "relaxed_toward": [0.5, 1.0]})
    start, middle, half, end = make_pool([starts[1]], starts[0], tiny, 3)
    assert np.allclose(middle.positions_A, start.positions_A, atol=1e-3)
    assert np.allclose(half.positions_A, (start.positions_A + starts[0].positions_A) / 2, atol=1e-3)
    assert np.allclose(end.positions_A, starts[0].positions_A, atol=1e-3)
    assert "50% toward unperturbed" in half.note


def test_frames_do_not_depend_on_the_rest_of_the_pool(pool, starts, sampling):
    alone = make_pool([starts[2]], starts[0], sampling, 3)
    ids = {frame.frame_id for frame in pool}
    assert {frame.frame_id for frame in alone} <= ids
    again = make_pool(starts, starts[0], sampling, 3)
    for one, other in zip(pool, again, strict=True):
        assert one.positions_A.tobytes() == other.positions_A.tobytes()
    other_seed = make_pool(starts, starts[0], sampling, 4)
    assert {frame.frame_id for frame in other_seed} & ids == {start.frame_id for start in starts}


def test_rattles_are_independent_of_each_other(pool, starts):
    first, second = (frame for frame in pool if frame.parent == starts[0].frame_id and "0.1 A" in frame.note)
    one = displacements_A(starts[0].positions_A, first.positions_A, first.cell_A).ravel()
    two = displacements_A(starts[0].positions_A, second.positions_A, second.cell_A).ravel()
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.35


def test_overlapping_rattles_are_dropped_with_a_warning(starts, sampling, caplog):
    wild = sampling.model_copy(update={"rattle_amplitudes_A": [1.5], "relaxed_toward": [], "shortest_distance_A": 2.5})
    with caplog.at_level(logging.WARNING):
        assert make_pool(starts[:1], starts[0], wild, 3) == starts[:1]
    assert "atoms too close" in caplog.text
