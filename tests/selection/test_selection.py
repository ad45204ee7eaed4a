"""Selection: budgets kept exactly, held-out families kept out, each charge on its own."""

import logging

import numpy as np
import pytest

from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.selection.selection import select_initial, select_round
from defectscape.settings.sampling import SelectionSettings

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
