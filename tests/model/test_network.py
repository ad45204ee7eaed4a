"""The network: invariances, forces as gradients, exact references, refusals."""

import contextlib
import copy
from collections.abc import Callable
from dataclasses import replace

import e3nn
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Frame
from defectscape.model.backend import numerics, to_numpy
from defectscape.model.blueprint import blueprint, rebuild
from defectscape.model.committee import Committee
from defectscape.model.dataset import Graphs, collate
from defectscape.model.layers.arrangement import as_mace_has_it
from defectscape.model.network import ChargedMACE
from defectscape.model.saving import load_network, save_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network(committee: Committee) -> ChargedMACE:
    return committee.members[0]


def ask(network: ChargedMACE, frame: Frame, **changes: object) -> tuple[float, np.ndarray]:
    with numerics(network.card.dtype, CPU):
        batch = collate([Graphs.of(network.card).frame(frame, "high")], CPU)
        data = {**batch.to_dict(), **changes}
        out = network({k: v for k, v in data.items() if v is not None}, training=False)
    return float(out["energy"][0].detach()), to_numpy(out["forces"])


def other(frame: Frame, positions: np.ndarray, cell: np.ndarray, order: np.ndarray) -> Frame:
    return Frame(frame.numbers[order], positions[order], cell, frame.key, 1, frame.origin, frame.family)


def test_energy_is_invariant_and_forces_turn(network, frame_of) -> None:
    frame = frame_of(3, -2)
    energy, forces = ask(network, frame)
    order = np.random.default_rng(0).permutation(len(frame))
    turn = Rotation.random(random_state=1).as_matrix()
    shift = np.array([0.7, -3.1, 12.0])
    moved = other(frame, (frame.positions_A + shift) @ turn.T, frame.cell_A @ turn.T, order)
    moved_energy, moved_forces = ask(network, moved)
    assert moved_energy == pytest.approx(energy, abs=1e-8)
    assert moved_forces == pytest.approx((forces @ turn.T)[order], abs=1e-8)
    assert np.abs(forces).max() > 0.1


@pytest.mark.skipif(torch.cuda.is_available(), reason="where there is a GPU, layers stay scripted")
def test_layers_in_python_give_the_bits_of_scripted_ones(network, frame_of) -> None:
    with as_mace_has_it(network):
        plain = blueprint(network)
    mine = rebuild(plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("defectscape.model.network.unscripted", contextlib.nullcontext)
        scripted = rebuild(plain)
    assert e3nn.get_optimization_defaults()["jit_script_fx"], "others' layers are built as before"
    counts = [sum(isinstance(layer, torch.jit.ScriptModule) for layer in each.modules()) for each in (mine, scripted)]
    assert counts[0] == 0 < counts[1]
    frame = frame_of(3, -2)
    (energy, forces), (energy_scripted, forces_scripted) = ask(mine, frame), ask(scripted, frame)
    assert energy == energy_scripted
    assert np.array_equal(forces, forces_scripted)


@pytest.mark.parametrize("charge", [-2, 1])
def test_forces_are_minus_the_gradient_of_the_raw_energy(network, frame_of, charge) -> None:
    frame = frame_of(4, charge)
    _, forces = ask(network, frame)
    assert forces.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)
    step = 1e-3
    for atom, axis in ((0, 0), (3, 1), (6, 2)):
        ends = []
        for sign in (1, -1):
            positions = frame.positions_A.copy()
            positions[atom, axis] += sign * step
            ends.append(ask(network, frame.moved(positions, origin=frame.origin))[0])
        assert forces[atom, axis] == pytest.approx((ends[1] - ends[0]) / (2 * step), abs=2e-5)


def test_energy_is_learned_part_plus_reference(network, frame_of) -> None:
    frame = frame_of(5, 1)
    with numerics("float64", CPU):
        out = network(collate([Graphs.of(network.card).frame(frame, "low")], CPU).to_dict())
    reference = network.references.energy_eV(frame.numbers, 1, "low")
    learned = float(out["interaction_energy"][0].detach())
    assert float(out["energy"][0].detach()) == pytest.approx(learned + reference, abs=1e-9)
    assert float(out["node_energy"].sum().detach()) == pytest.approx(learned + reference, abs=1e-9)
    assert reference < -2900


def test_references_keep_float64_when_the_network_does_not(network, tmp_path) -> None:
    save_network(network, tmp_path / "copy.model")
    single = load_network(tmp_path / "copy.model").float()
    assert next(single.parameters()).dtype == torch.float32
    assert np.array_equal(single.references.charge_eV, network.references.charge_eV)
    assert np.array_equal(single.references.element_eV, network.references.element_eV)
    assert np.any(np.float32(network.references.element_eV) != network.references.element_eV)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"total_charge": None}, "total_charge: missing"),
        ({"total_charge": torch.tensor([-0.5])}, "whole number"),
        ({"total_charge": torch.tensor([float("nan")])}, "whole number"),
        ({"total_charge": torch.tensor([-1.0])}, r"-1\..*-2, 0, \+1 at high"),
        ({"total_charge": torch.tensor([2.0])}, r"\+2\."),
        ({"total_charge": torch.tensor([-3.0])}, r"-3\."),
        ({"head": None}, "head: missing"),
        ({"head": torch.tensor([2])}, "head index"),
        ({"head": torch.tensor([-1])}, "head index"),
    ],
)
def test_states_not_trained_on_are_refused(network, frame_of: Callable[..., Frame], changes, words) -> None:
    with pytest.raises(ModelError, match=words):
        ask(network, frame_of(6, 0), **changes)


def test_another_file_is_refused(tmp_path) -> None:
    path = tmp_path / "linear.model"
    weights = tmp_path / "linear.weights"
    torch.save(torch.nn.Linear(2, 2).state_dict(), weights)
    with pytest.raises(ModelError, match="format None"):
        load_network(path)
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be read"):
        load_network(path)
    with pytest.raises(ModelError, match="no such file"):
        load_network(tmp_path / "none.model")


def test_the_charge_of_a_larger_cell_counts_for_every_atom(committee, frame_of) -> None:
    """Why another supercell is refused: the learned shift of a charge grows with the atoms."""
    neutral = frame_of(7, 0)
    repeats = np.array([(i, j, k) for i in range(2) for j in range(2) for k in range(2)])
    cell = 2 * neutral.cell_A
    positions = np.concatenate([neutral.positions_A + r @ neutral.cell_A for r in repeats])
    large = Frame(np.tile(neutral.numbers, 8), positions, cell, neutral.key, 1, neutral.origin, neutral.family)

    members = tuple(copy.deepcopy(network) for network in committee.members)
    for network in members:
        network.card = replace(network.card, sizes=(len(neutral), len(large)))
    unlimited = Committee(members)

    def learned(frame: Frame, charge: int) -> float:
        asked = frame.recharged(charge, origin=frame.origin)
        point = unlimited.evaluate(asked, "high")
        return point.energy_eV - committee.reference_eV(frame.numbers, charge, "high")

    small = learned(neutral, -2) - learned(neutral, 0)
    assert abs(small) > 1e-3
    assert learned(large, -2) - learned(large, 0) == pytest.approx(8 * small, rel=1e-6)
    with pytest.raises(ModelError, match="number of atoms: 56"):
        committee.evaluate(large, "high")
