"""Selection: budgets and held-out families, farthest points, and the fingerprints that they are taken by."""

import logging
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.selection.descriptors import frame_descriptors
from defectscape.selection.farthest_points import farthest_points, standardised
from defectscape.selection.recharging import Handed, at_most, handed_to, in_turn
from defectscape.selection.selection import select_initial, select_round, without_copies
from defectscape.settings.sampling import SelectionSettings

# Selection: budgets kept exactly, held-out families kept out, each charge on its own.


LABELS = ["unperturbed", "a", "b", "c", "d", "e", "f", "g", "h"]
SPLITS = {
    f"v_Cd/{label}": split for label, split in zip(LABELS, ["train"] * 5 + ["valid"] * 2 + ["test"] * 2, strict=True)
}
BUDGET = SelectionSettings(
    initial_per_charge=8,
    test_per_charge=3,
    per_charge_per_round=6,
    disagreement_share=0.5,
)


def budget(**changes):
    return BUDGET.model_copy(update=changes)


def pool(charge, per_family=4):
    rng = np.random.default_rng(charge + 10)
    return [
        Frame(
            [48, 52],
            rng.normal(size=(2, 3)),
            6 * np.eye(3),
            DefectKey("v_Cd", charge),
            1,
            Origin.START if index == 0 else Origin.RATTLE,
            f"v_Cd/{label}",
        )
        for label in LABELS
        for index in range(per_family)
    ]


def features_of(frames):
    return np.array([frame.positions_A.ravel() for frame in frames])


@pytest.fixture
def frames():
    return pool(0)


def count(frames, chosen, split):
    return sum(SPLITS[frames[index].family] == split for index in chosen)


def test_initial_budget_is_met_exactly_and_stratified(frames):
    chosen = select_initial(frames, features_of(frames), SPLITS, BUDGET, DefectKey("v_Cd", 0))
    assert len(chosen) == len(set(chosen)) == 8 + 3
    assert frames[chosen[0]].family == "v_Cd/unperturbed"
    assert frames[chosen[0]].origin is Origin.START
    # Two of the seven training and validation families validate: 8 * 2 / 7 rounds to 2.
    assert count(frames, chosen, "valid") == 2
    assert count(frames, chosen, "train") == 6
    assert count(frames, chosen, "test") == 3


@pytest.mark.parametrize("total", [1, 2, 3, 20])
def test_small_and_large_budgets_are_exact_too(frames, total):
    settings = budget(initial_per_charge=total)
    chosen = select_initial(frames, features_of(frames), SPLITS, settings, DefectKey("v_Cd", 0))
    train, valid = count(frames, chosen, "train"), count(frames, chosen, "valid")
    assert train + valid == total
    assert valid >= (total > 1)
    assert frames[chosen[0]].family == "v_Cd/unperturbed"


def test_another_charge_in_the_pool_changes_nothing(frames):
    both = [*pool(-1), *frames]
    alone = select_initial(frames, features_of(frames), SPLITS, BUDGET, DefectKey("v_Cd", 0))
    mixed = select_initial(both, features_of(both), SPLITS, BUDGET, DefectKey("v_Cd", 0))
    assert [both[i].frame_id for i in mixed] == [frames[i].frame_id for i in alone]


def test_test_frames_do_not_depend_on_the_training_budget(frames):
    small, large = (
        select_initial(frames, features_of(frames), SPLITS, budget(initial_per_charge=n), DefectKey("v_Cd", 0))[-3:]
        for n in (4, 15)
    )
    assert small == large


def test_a_pool_too_small_gives_all_it_has_and_says_so(caplog):
    frames = pool(0, per_family=1)
    with caplog.at_level(logging.WARNING):
        chosen = select_initial(
            frames, features_of(frames), SPLITS, budget(initial_per_charge=20), DefectKey("v_Cd", 0)
        )
    assert sorted(chosen) == list(range(9))
    assert "the pool is small" in caplog.text


def test_without_the_unperturbed_start_the_budget_is_still_spent(frames):
    rest = [f for f in frames if f.origin is not Origin.START]
    chosen = select_initial(rest, features_of(rest), SPLITS, BUDGET, DefectKey("v_Cd", 0))
    assert len(set(chosen)) == BUDGET.initial_per_charge + BUDGET.test_per_charge


def test_a_pool_without_a_split_is_refused(frames):
    with pytest.raises(DefectError, match="v_Cd/unperturbed"):
        select_initial(frames, features_of(frames), {}, BUDGET, DefectKey("v_Cd", 0))


def round_of(frames, disagreement=None, taken=None, must=(), settings=BUDGET):
    values = features_of(frames)
    scores = np.zeros(len(frames)) if disagreement is None else disagreement
    before = np.zeros((0, values.shape[1])) if taken is None else taken
    return select_round(frames, values, scores, before, must, SPLITS, settings)


def test_round_takes_must_then_disagreement_then_spread(frames):
    scores = np.random.default_rng(0).random(len(frames))
    chosen = round_of(frames, scores, must=[9, 5])
    open_ = [i for i, frame in enumerate(frames) if SPLITS[frame.family] != "test"]
    highest = [i for i in sorted(open_, key=lambda i: -scores[i]) if i not in (9, 5)]
    assert len(chosen) == len(set(chosen)) == 6
    assert chosen[:2] == [9, 5]
    assert chosen[2:4] == highest[:2]
    assert count(frames, chosen, "test") == 0


def test_share_runs_from_all_spread_to_all_disagreement(frames):
    scores = np.random.default_rng(0).random(len(frames))
    open_ = [i for i, frame in enumerate(frames) if SPLITS[frame.family] != "test"]
    highest = sorted(open_, key=lambda i: -scores[i])
    doubting = round_of(frames, scores, settings=budget(disagreement_share=1.0))
    assert doubting == highest[:6]
    spread = round_of(frames, scores, settings=budget(disagreement_share=0.0))
    assert spread == round_of(frames, -scores, settings=budget(disagreement_share=0.0))
    assert spread != doubting


def test_known_geometries_are_passed_over(frames):
    values = features_of(frames)
    scores = np.zeros(len(frames))
    scores[[3, 7]] = 10.0
    nearly = values[[3]] * (1 + 1e-6)
    chosen = round_of(frames, scores, taken=nearly)
    assert 3 not in chosen
    assert chosen[0] == 7
    twins = [*frames, *frames]
    doubled = round_of(twins, np.concatenate([scores, scores]))
    assert len({twins[i].frame_id for i in doubled}) == 6


def test_spread_moves_away_from_what_is_taken(frames):
    values = features_of(frames)
    settings = budget(disagreement_share=0.0, per_charge_per_round=1)
    first = round_of(frames, settings=settings, taken=values[:1])[0]
    second = round_of(frames, settings=settings, taken=values[[0, first]])[0]
    assert second not in (0, first)


def test_held_out_minima_are_not_taken_even_if_they_must(frames):
    held = next(i for i, frame in enumerate(frames) if SPLITS[frame.family] == "test")
    assert held not in round_of(frames, must=[held])


def test_too_few_candidates_are_all_taken_and_logged(frames, caplog):
    with caplog.at_level(logging.WARNING):
        assert sorted(round_of(frames[:3])) == [0, 1, 2]
    assert "3 new frames instead of 6" in caplog.text
    assert select_round([], np.zeros((0, 0)), np.zeros(0), np.zeros((0, 4)), [], {}, BUDGET) == []


def test_mixed_charges_are_refused(frames):
    with pytest.raises(DefectError, match="one key at a time"):
        round_of([*frames, *pool(-1)])


# Recharging: what charge states hand to each other, and in what order.


def handed(*names, doubtful=()):
    """Structures of one charge state, the lowest first: their names are x coordinates."""
    return [
        Handed(frame_at(name, 0), str(name), lowest=place == 0, doubtful=name in doubtful)
        for place, name in enumerate(names)
    ]


def frame_at(x, charge):
    positions = [[0, 0, 0], [x, 0, 0]]
    return Frame([48, 52], positions, 9 * np.eye(3), DefectKey("v_Cd", charge), 1, Origin.MINIMUM, "v_Cd/found")


def places(items):
    return [item.frame.positions_A[1, 0] for item in items]


def test_the_lowest_of_the_nearest_charge_is_handed_over_first():
    given = {DefectKey("v_Cd", 1): handed(1, 2), DefectKey("v_Cd", 0): handed(3), DefectKey("v_Cd", -1): handed(4, 5)}
    found = {charge: handed_to(DefectKey("v_Cd", charge), given) for charge in (1, 0, -1)}
    assert {charge: places(items) for charge, items in found.items()} == {
        1: [3, 4, 5],
        0: [1, 4, 2, 5],
        -1: [3, 1, 2],
    }
    assert [item.lowest for item in found[0]] == [True, True, False, False]
    assert {item.frame.charge for item in found[-1]} == {-1}
    # 48 + 52 electrons less the charge: a doublet where that is odd, a singlet where not.
    assert {item.frame.multiplicity for item in found[-1]} == {2}
    assert {item.frame.multiplicity for item in found[0]} == {1}
    assert {item.frame.multiplicity for item in handed_to(DefectKey("v_Cd", 0), given, 3)} == {3}, "as stated"
    assert handed_to(DefectKey("v_Cd", 0), {DefectKey("v_Cd", 0): handed(1)}) == []


def test_a_geometry_that_two_charges_give_is_handed_over_once():
    given = {DefectKey("v_Cd", 1): handed(1), DefectKey("v_Cd", -1): handed(1, 2)}
    assert places(handed_to(DefectKey("v_Cd", 0), given)) == [1, 2]


def test_doubtful_structures_come_beside_as_many_sure_ones():
    items = handed(1, 2, 3, 4, 5, doubtful=(1, 2, 4))
    assert places(at_most(items, 1)) == [1, 3]
    assert places(at_most(items, 2)) == [1, 2, 3, 5]


def test_two_lists_share_a_budget_in_turn():
    frames = [frame_at(x, 0) for x in (1, 2, 3, 4)]
    assert in_turn(frames[:1], frames[1:]) == frames
    assert in_turn(frames[:3], frames[3:]) == [frames[0], frames[3], *frames[1:3]]


def test_what_lies_nearly_at_a_label_or_at_another_is_no_news():
    values = np.array([[1.0, 0], [1.0, 1e-4], [0, 1.0], [2.0, 2.0]])
    assert without_copies(values, np.array([[0, 1.0001]])) == [0, 3]
    assert without_copies(values, np.zeros((0, 2))) == [0, 2, 3]


# Farthest points: spread, deterministic, away from what is taken.


def test_points_on_a_line_are_taken_from_the_ends_inward():
    line = np.arange(9.0)[:, None]
    assert farthest_points(line, [0], 3) == [8, 4, 2]
    assert farthest_points(line, [], 2) == [0, 8]
    assert farthest_points(line, [0, 8], 1) == [4]


def test_copies_of_taken_points_come_last():
    points = np.array([[0.0, 0], [0, 0], [5, 0], [0, 7]])
    assert farthest_points(points, [0], 3)[-1] == 1


def test_units_of_a_feature_do_not_matter():
    points = np.random.default_rng(0).normal(size=(30, 4))
    scaled = points * np.array([1e-3, 1.0, 1e3, 7.0]) + 5.0
    assert farthest_points(points, [3], 8) == farthest_points(scaled, [3], 8)


def test_constant_features_are_ignored():
    points = np.random.default_rng(0).normal(size=(12, 2))
    noise = 1.0 + 1e-15 * np.random.default_rng(1).normal(size=(12, 1))
    padded = np.concatenate([points, noise], axis=1)
    assert farthest_points(points, [0], 5) == farthest_points(padded, [0], 5)
    assert np.allclose(standardised(points).std(axis=0), 1.0)


@given(st.integers(0, 10**6), st.integers(1, 15), st.integers(0, 20))
def test_no_index_twice_and_never_a_taken_one(seed, size, count):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(size, 3))
    already = rng.choice(size, size=int(rng.integers(0, size)), replace=False).tolist()
    chosen = farthest_points(points, already, count)
    assert len(chosen) == len(set(chosen)) == min(count, size - len(already))
    assert not set(chosen) & set(already)
    assert chosen == farthest_points(points, already, count)


@given(st.integers(0, 10**6))
def test_each_choice_is_the_farthest_from_all_before(seed):
    points = np.random.default_rng(seed).normal(size=(12, 2))
    chosen = farthest_points(points, [5], 4)
    scaled = standardised(points)
    for step, index in enumerate(chosen):
        before = [5, *chosen[:step]]
        gaps = np.linalg.norm(scaled[:, None] - scaled[None, before], axis=2).min(axis=1)
        assert gaps[index] == gaps.max()


# Fingerprints: invariant where the physics is, and sharpest near the defect.


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
