"""Training, and the strategies that make one model of two fidelities."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from ase import Atoms
from mace.calculators import MACECalculator
from pydantic import ValidationError

from defectscape.domain.errors import ModelError
from defectscape.domain.label import Label, LabelledFrame
from defectscape.model.backend import numerics
from defectscape.model.checkpoint import training_digest
from defectscape.model.checks import check_states
from defectscape.model.committee import Committee
from defectscape.model.delta import DeltaMACE
from defectscape.model.errors import error_table
from defectscape.model.history import TrainingHistory
from defectscape.model.phase import learning_rate
from defectscape.model.saving import load_network
from defectscape.model.strategies import STRATEGIES, differences, state_of
from defectscape.model.training import train_member

# Training: it learns, it can be killed, it refuses what it cannot do.


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


# Strategies: each yields a model that learns, survives a kill, and that mace's own calculator loads.


CPU = torch.device("cpu")
KNOWS_LOW = {"heads", "fidelity_embedding", "delta"}


# Two defects at once: where the constants are those of each composition, none is moved by the other.


@pytest.mark.parametrize(("name", "per_composition"), [("heads", True), ("heads", False), ("delta", True)])
def test_two_defects_do_not_move_each_other_s_energies(
    two_defects_of, settings_of, tmp_path, name, per_composition
) -> None:
    train, valid = two_defects_of(range(8)), two_defects_of(range(100, 102))
    path = tmp_path / "model.model"
    train_member(train, valid, FIDELITIES, settings_of(strategy=name), 7, 0, path, per_composition=per_composition)
    committee = Committee.load([path])
    errors: dict[object, list[float]] = {}
    for item in train:
        error_eV = committee.evaluate(item.frame, item.fidelity).energy_eV - item.label.energy_eV
        errors.setdefault((item.fidelity, item.frame.key), []).append(error_eV)
    assert len(errors) == 2 * 2 * 2
    # The labels of one state are 0.7 eV off what constants of elements and charges can say.
    assert (max(abs(float(np.mean(found))) for found in errors.values()) < 0.05) is per_composition
    assert bool(load_network(path).references.compositions) is per_composition


@pytest.fixture(scope="module")
def trained(tmp_path_factory, train_data, valid_data, settings_of):
    """Model file and history of every strategy."""
    folder = tmp_path_factory.mktemp("strategies")
    made = {}
    for name in STRATEGIES:
        settings = settings_of(strategy=name, steps=120, validate_every=40)
        history = train_member(
            train_data,
            valid_data,
            FIDELITIES,
            settings,
            7,
            0,
            folder / name,
            checkpoint=folder / f"{name}.point",
        )
        made[name] = folder / name, history
    written = {name + ending for name in STRATEGIES for ending in ("", ".weights")}
    assert {path.name for path in folder.iterdir()} == written, "checkpoints are left"
    return made


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_learns_the_high_fidelity(trained, data_of, name) -> None:
    path, history = trained[name]
    committee = Committee.load([path])
    unseen = [item for item in data_of(range(200, 206)) if item.fidelity == "high"]
    (row, *_) = error_table(committee, unseen).rows
    forces = np.concatenate([item.label.forces_eV_A for item in unseen])
    assert row.forces_rmse_meV_A < 0.45 * 1e3 * np.sqrt(np.mean(forces**2))
    assert row.energy_rmse_meV_atom < 12
    assert history.forces_rmse_meV_A["high"] < 0.45 * 1e3 * np.sqrt(np.mean(forces**2))
    assert TrainingHistory.from_json(history.to_json()) == history


@pytest.mark.parametrize("name", STRATEGIES)
def test_its_file_is_one_that_mace_s_calculator_loads(trained, frame_of, name) -> None:
    path, _ = trained[name]
    committee = Committee.load([path])
    known = [f for f in FIDELITIES if f in committee.card.fidelities]
    assert known == (["low", "high"] if name in KNOWS_LOW else ["high"])
    frame = frame_of(60, -2)
    for fidelity in known:
        atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
        atoms.info["total_charge"] = -2
        atoms.calc = MACECalculator(
            model_paths=str(path),
            device="cpu",
            default_dtype="float64",
            head=fidelity,
            info_keys={"total_charge": "total_charge"},
        )
        expected = committee.evaluate(frame, fidelity)
        assert atoms.get_potential_energy() == pytest.approx(expected.energy_eV, abs=1e-6)
        np.testing.assert_allclose(atoms.get_forces(), expected.forces_eV_A, atol=1e-6)
        # mace takes the atoms' own energies off: what is left is the learned part and the constant.
        shares = atoms.calc.results["node_energy"]
        counts = atoms.calc.models[0].atomic_energies_fn.atomic_energies[known.index(fidelity)]
        total = shares.sum() + sum(float(counts[committee.card.elements.index(z)]) for z in frame.numbers)
        assert total == pytest.approx(expected.energy_eV, abs=1e-6)
        assert atoms.calc.get_descriptors(atoms).shape[0] == len(frame)


@pytest.mark.parametrize("name", STRATEGIES)
def test_charge_and_fidelity_reach_it_on_every_path(trained, frame_of, name) -> None:
    committee = Committee.load([trained[name][0]])
    report = check_states(committee, frame_of(61, 0), (-2, 0, 1), committee.card.fidelities)
    assert report.charge_split_eV is not None
    assert report.charge_split_eV > 1e-3
    assert (report.fidelity_split_eV is None) == (name not in KNOWS_LOW)
    with pytest.raises(ModelError, match=r"-1\."):
        committee.evaluate(frame_of(61, -1), "high")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fidelity_embedding", "training: step 20/"),
        ("high_only", "training: step 20/"),
        ("pretrain_finetune", "pretraining: step 10/"),
        ("pretrain_finetune", "finetuning: step 20/"),
        ("delta", "low model: step 10/"),
        ("delta", "correction: step 20/"),
    ],
)
def test_killed_in_either_phase_it_ends_as_if_it_had_not_been(
    train_data, valid_data, settings_of, tmp_path, caplog, killed_at, name, words
) -> None:
    two = {"pretrain_steps": 20} if name in ("pretrain_finetune", "delta") else {}
    settings = settings_of(strategy=name, steps=30, validate_every=10, channels=4, **two)
    arguments = (train_data, valid_data, FIDELITIES, settings, 3, 1)
    whole, parts, point = tmp_path / "whole", tmp_path / "parts", tmp_path / "point"
    history = train_member(*arguments, whole)
    with killed_at(words):
        train_member(*arguments, parts, checkpoint=point)
    caplog.clear()
    again = train_member(*arguments, parts, checkpoint=point)
    if words != "pretraining: step 10/" and words != "low model: step 10/":
        assert "continuing from step" in caplog.text
    one, other = load_network(whole), load_network(parts)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert again.validations == history.validations
    assert [part.validations for part in again.earlier] == [part.validations for part in history.earlier]
    assert list(tmp_path.glob("point*")) == []


def test_high_only_sees_no_low_fidelity_label(trained, train_data, valid_data, settings_of, tmp_path) -> None:
    path, history = trained["high_only"]
    high = [item for item in train_data if item.fidelity == "high"]
    settings = settings_of(strategy="high_only", steps=120, validate_every=40)
    valid = [item for item in valid_data if item.fidelity == "high"]
    alone = train_member(high, valid, FIDELITIES, settings, 7, 0, tmp_path / "alone")
    for a, b in zip(load_network(path).parameters(), load_network(tmp_path / "alone").parameters(), strict=True):
        assert torch.equal(a, b)
    assert alone.train_frames == history.train_frames == {"high": len(high)}


def test_finetuning_starts_from_the_low_fidelity(train_data, valid_data, settings_of, tmp_path) -> None:
    """With so small a rate that nothing moves, the forces are the pretrained ones."""
    changes = {
        "steps": 1,
        "validate_every": 1,
        "finetune_rate": 1e-300,
        "pretrain_steps": 80,
        "patience": 99,
    }
    settings = settings_of(strategy="pretrain_finetune", **changes)
    history = train_member(train_data, valid_data, FIDELITIES, settings, 3, 0, tmp_path / "m")
    (first,) = history.earlier
    assert (first.phase, history.phase) == ("pretraining", "finetuning")
    assert (first.fidelities, history.fidelities) == (("low",), ("high",))
    assert first.validations[-1].step == 80
    cold = settings_of(strategy="high_only", steps=1, validate_every=1, learning_rate=1e-300)
    blind = train_member(train_data, valid_data, FIDELITIES, cold, 3, 0, tmp_path / "c")
    assert history.forces_rmse_meV_A["high"] < 0.6 * blind.forces_rmse_meV_A["high"]


def test_delta_is_the_low_model_plus_the_correction(trained, frame_of) -> None:
    network = load_network(trained["delta"][0])
    assert isinstance(network, DeltaMACE)
    frame = frame_of(62, 1)
    whole = Committee((network,))
    low = Committee((network.low,)).evaluate(frame, "low")
    added = Committee((network.correction,)).evaluate(frame, "high")
    high = whole.evaluate(frame, "high")
    assert high.energy_eV == pytest.approx(low.energy_eV + added.energy_eV, abs=1e-8)
    np.testing.assert_allclose(high.forces_eV_A, low.forces_eV_A + added.forces_eV_A, atol=1e-9)
    assert whole.evaluate(frame, "low").energy_eV == pytest.approx(low.energy_eV, abs=1e-9)
    # The truth's levels differ by a constant and by a fifth of the Morse depth.
    assert np.abs(added.forces_eV_A).max() < np.abs(low.forces_eV_A).max()


def test_delta_answers_a_batch_of_both_heads(trained, frame_of) -> None:
    from defectscape.model.dataset import Graphs

    committee = Committee.load([trained["delta"][0]])
    maker = Graphs.of(committee.card)
    pairs = [(frame_of(63, 0), "low"), (frame_of(64, 1), "high"), (frame_of(65, -2), "low")]
    with numerics("float64", CPU):
        together = committee.predict([maker.frame(frame, head) for frame, head in pairs])
    for (frame, head), point in zip(pairs, together, strict=True):
        alone = committee.evaluate(frame, head)
        assert point.energy_eV == pytest.approx(alone.energy_eV, abs=1e-8)
        np.testing.assert_allclose(point.forces_eV_A, alone.forces_eV_A, atol=1e-9)


def test_differences_take_the_label_and_the_model_only_where_there_is_none(trained, frame_of) -> None:
    base = load_network(trained["delta"][0]).low
    frames = [frame_of(70, 0), frame_of(71, -2)]
    forces = np.ones((len(frames[0]), 3))
    high = [LabelledFrame(frame, Label(-3100.0, forces), "high") for frame in frames]
    known = {state_of(high[0]): Label(-3000.0, 0.25 * forces)}
    one, other = differences(high, known, base, "low")
    assert one.label.energy_eV == pytest.approx(-100.0)
    np.testing.assert_allclose(one.label.forces_eV_A, 0.75 * forces)
    model = Committee((base,)).evaluate(frames[1], "low")
    assert other.label.energy_eV == pytest.approx(-3100.0 - model.energy_eV)
    np.testing.assert_allclose(other.label.forces_eV_A, forces - model.forces_eV_A)


def test_warm_start_of_another_strategy_is_refused(trained, train_data, valid_data, settings_of, tmp_path) -> None:
    settings = settings_of(steps=1)
    with pytest.raises(ModelError, match="strategy of the model to start from: delta"):
        train_member(train_data, valid_data, FIDELITIES, settings, 1, 0, tmp_path / "m", trained["delta"][0])


@pytest.mark.parametrize("name", ["delta", "pretrain_finetune", "fidelity_embedding"])
def test_warm_start_continues(trained, train_data, valid_data, settings_of, tmp_path, name) -> None:
    path, before = trained[name]
    settings = settings_of(strategy=name, steps=1, validate_every=1, learning_rate=1e-300)
    warm = train_member(train_data, valid_data, FIDELITIES, settings, 1, 0, tmp_path / "w", path)
    assert warm.forces_rmse_meV_A["high"] == pytest.approx(before.forces_rmse_meV_A["high"], rel=0.02)


def test_pretraining_steps_of_a_strategy_without_pretraining_are_a_mistake(settings_of) -> None:
    with pytest.raises(ValidationError, match="pretrain_steps belongs to"):
        settings_of(strategy="heads", pretrain_steps=10)
