"""Training: it learns, it can be killed, it refuses what it cannot do."""

import json
import math
from itertools import pairwise

import pytest
import torch

from defectscape.domain.errors import ModelError
from defectscape.model.checkpoint import training_digest
from defectscape.model.history import TrainingHistory
from defectscape.model.phase import learning_rate
from defectscape.model.saving import load_network
from defectscape.model.training import train_member

FIDELITIES = ("low", "high")


def weights(path) -> list[torch.Tensor]:
    return [p.detach() for p in load_network(path).parameters()]


def same(one, two) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(two), strict=True))


def test_killed_and_restarted_equals_uninterrupted(
    train_data, valid_data, settings_of, tmp_path, caplog, killed_at
) -> None:
    settings = settings_of(steps=30, validate_every=10)
    arguments = (train_data, valid_data, FIDELITIES, settings, 3, 0)
    whole, parts, point = tmp_path / "whole", tmp_path / "parts", tmp_path / "check" / "point"
    history = train_member(*arguments, whole)
    # The message of step 20 comes before its checkpoint, so steps 11 to 20 are done twice.
    with killed_at("step 20/"):
        train_member(*arguments, parts, checkpoint=point)
    assert point.exists()
    assert not parts.exists()
    again = train_member(*reversed_data(arguments), parts, checkpoint=point)
    assert "continuing from step 10" in caplog.text
    assert same(whole, parts)
    assert again.validations == history.validations
    assert not point.exists()
    assert [path.name for path in (tmp_path / "check").iterdir()] == []


def reversed_data(arguments):
    """The order in which frames are given does not matter."""
    return (arguments[0][::-1], arguments[1][::-1], *arguments[2:])


def test_checkpoint_of_other_data_is_ignored(train_data, valid_data, settings_of, tmp_path, caplog, killed_at):
    settings = settings_of(steps=4, validate_every=2, channels=4)
    point = tmp_path / "point"
    for index, data in enumerate((train_data, train_data[:-1])):
        with killed_at("step 4/"):
            train_member(data, valid_data, FIDELITIES, settings, 3, 0, tmp_path / "m", checkpoint=point)
        assert ("of other settings or data" in caplog.text) == bool(index)
    point.write_bytes(b"torn")
    caplog.clear()
    train_member(train_data, valid_data, FIDELITIES, settings, 3, 0, tmp_path / "m", checkpoint=point)
    assert "cannot be read" in caplog.text


def test_digest_sees_data_settings_and_seed(train_data, valid_data, settings_of) -> None:
    settings = settings_of()
    first = training_digest(train_data, valid_data, settings, 1, None)
    assert first == training_digest(train_data, valid_data, settings, 1, None)
    others = (
        training_digest(train_data[1:], valid_data, settings, 1, None),
        training_digest(train_data, valid_data[1:], settings, 1, None),
        training_digest(train_data, valid_data, settings_of(high_weight=4.0), 1, None),
        training_digest(train_data, valid_data, settings, 2, None),
    )
    assert len({first, *others}) == 5


def test_training_learns_energies_and_forces(train_data, valid_data, settings_of, tmp_path) -> None:
    settings = settings_of(steps=120, validate_every=20)
    history = train_member(train_data, valid_data, FIDELITIES, settings, 3, 0, tmp_path / "m")
    first, best = history.validations[0], min(history.validations, key=lambda p: p.score)
    assert best.score == history.best_score < 0.7 * first.score
    assert best.step == history.best_step
    assert best.forces_rmse_meV_A["high"] < 0.6 * first.forces_rmse_meV_A["high"]
    expected = (best.forces_rmse_meV_A["high"] + 10 * best.energy_rmse_meV_atom["high"]) / 1e3
    assert best.score == pytest.approx(expected)
    # As written, constants and all: the truth varies by some 10 meV/atom between frames.
    assert history.energy_rmse_meV_atom["high"] < 8
    assert history.forces_rmse_meV_A["high"] == pytest.approx(best.forces_rmse_meV_A["high"])
    steps, curve = history.curve("forces_rmse_meV_A", "low")
    assert steps.tolist() == [20, 40, 60, 80, 100, 120]
    assert curve[-1] < curve[0]
    assert history.train_frames == {"low": 30, "high": 15}
    text = json.dumps(history.to_json(), allow_nan=False)
    assert TrainingHistory.from_json(json.loads(text)) == history


def test_seeds_and_members_differ(train_data, valid_data, settings_of, tmp_path) -> None:
    settings = settings_of(steps=2, validate_every=2, channels=4)
    for name, seed, member in (("a", 1, 0), ("b", 1, 0), ("c", 1, 1), ("d", 2, 0)):
        train_member(train_data, valid_data, FIDELITIES, settings, seed, member, tmp_path / name)
    assert same(tmp_path / "a", tmp_path / "b")
    assert not same(tmp_path / "a", tmp_path / "c")
    assert not same(tmp_path / "a", tmp_path / "d")


def test_stops_when_nothing_improves(train_data, valid_data, settings_of, tmp_path) -> None:
    # So small a rate changes no weight: no validation is better than the first.
    settings = settings_of(learning_rate=1e-300, validate_every=2, patience=3, channels=4)
    history = train_member(train_data, valid_data, FIDELITIES, settings, 1, 0, tmp_path / "m")
    assert history.stop_reason == "no improvement"
    assert [point.step for point in history.validations] == [2, 4, 6, 8]
    assert history.best_step == 2


def test_warm_start_continues_and_keeps_the_normalisation(
    train_data, valid_data, data_of, model_paths, settings_of, tmp_path
) -> None:
    settings = settings_of(steps=1, validate_every=1, learning_rate=1e-300)
    cold = train_member(train_data, valid_data, FIDELITIES, settings, 1, 0, tmp_path / "c")
    more = [*train_data, *data_of(range(10, 14), charges=(-1,))]
    warm = train_member(more, valid_data, FIDELITIES, settings, 1, 0, tmp_path / "w", model_paths[0])
    assert warm.forces_rmse_meV_A["high"] < 0.5 * cold.forces_rmse_meV_A["high"]
    assert warm.best_score < cold.best_score
    old, new = load_network(model_paths[0]), load_network(tmp_path / "w")
    assert new.normalisation == old.normalisation
    assert new.card.charges == (-2, -1, 0, 1)
    other = settings_of(steps=1, channels=4)
    with pytest.raises(ModelError, match="warm_start"):
        train_member(train_data, valid_data, FIDELITIES, other, 1, 0, tmp_path / "x", model_paths[0])


def test_learning_rate_rises_then_falls_to_a_hundredth(settings_of) -> None:
    settings = settings_of(steps=1000, learning_rate=0.02)
    rates = [learning_rate(step, settings) for step in range(1000)]
    assert rates[0] == pytest.approx(0.02 / 100)
    assert max(rates) == rates[99] == rates[100] == pytest.approx(0.02)
    assert rates[-1] == pytest.approx(0.0002)
    assert all(b <= a for a, b in pairwise(rates[100:]))
    assert math.isfinite(learning_rate(0, settings_of(steps=1)))


def test_too_few_frames_of_a_fidelity(train_data, valid_data, settings_of, tmp_path) -> None:
    low = [item for item in train_data if item.fidelity == "low"]
    high = [item for item in train_data if item.fidelity == "high"]
    with pytest.raises(ModelError, match="'high': 1"):
        train_member([*low, high[0]], valid_data, FIDELITIES, settings_of(), 1, 0, tmp_path / "m")
    with pytest.raises(ModelError, match="fidelity: 'low'"):
        train_member(train_data, valid_data, ("pbe", "high"), settings_of(), 1, 0, tmp_path / "m")


def test_validation_frames_unlike_training_are_refused(train_data, data_of, settings_of, tmp_path) -> None:
    valid = data_of([100], charges=(-1,))
    with pytest.raises(ModelError, match="charge of a validation frame: -1"):
        train_member(train_data, valid, FIDELITIES, settings_of(), 1, 0, tmp_path / "m")
    with pytest.raises(ModelError, match="validation frames: 0"):
        train_member(train_data, [], FIDELITIES, settings_of(), 1, 0, tmp_path / "m")


def test_loss_that_explodes_is_an_error(train_data, valid_data, settings_of, tmp_path) -> None:
    settings = settings_of(learning_rate=1e200, channels=4)
    with pytest.raises(ModelError, match="training loss at step"):
        train_member(train_data, valid_data, FIDELITIES, settings, 1, 0, tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_missing_gpu_is_an_error(train_data, valid_data, settings_of, tmp_path) -> None:
    settings = settings_of(device="cuda")
    with pytest.raises(ModelError, match="device: cpu"):
        train_member(train_data, valid_data, FIDELITIES, settings, 1, 0, tmp_path / "m")
