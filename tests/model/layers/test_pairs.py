"""Edges and their reverses: weights of one serve both, only where both are there."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from defectscape.model.backend import numerics
from defectscape.model.dataset import Graphs, collate
from defectscape.model.layers.arrangement import arrange, restore
from defectscape.model.layers.pairs import all_halves, paired_order, share_weights, stop_sharing

CPU = torch.device("cpu")
FAR_A = 7.0
"""Beyond the cell of 6.48 A, so that atoms are neighbours of their own images."""


def batch_of(committee, frames) -> dict[str, Any]:
    maker = Graphs.of(committee.card)
    return collate([maker.frame(frame, "high") for frame in frames], CPU).to_dict()


def outcome(network: torch.nn.Module, batch: dict[str, Any]) -> list[torch.Tensor]:
    """Energies, forces, and gradients of a loss on both."""
    network.requires_grad_(True)
    out = network(dict(batch), training=True)
    loss = out["interaction_energy"].square().sum() + out["forces"].square().sum()
    names = [p for _, p in network.named_parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, names, allow_unused=True)
    return [out["energy"], out["forces"], *(g for g in gradients if g is not None)]


def shared(network: torch.nn.Module) -> list[bool]:
    return [block.conv_tp_weights.paired for block in network.interactions]


@pytest.fixture
def network(committee) -> torch.nn.Module:
    """A float64 network of its own, arranged."""
    copied = copy.deepcopy(committee.members[0])
    restore(copied)
    copied.to(torch.float64)
    arrange(copied)
    return copied


def test_second_halves_are_the_reverses_of_the_first(frame_of) -> None:
    with numerics("float64", CPU):
        graph = Graphs((48, 52), ("low", "high"), FAR_A).frame(frame_of(0, 0), "low")
    senders, receivers = graph.edge_index.numpy()
    half = len(senders) // 2
    assert (senders == receivers).any(), "images of an atom are among its neighbours"
    assert np.array_equal(senders[:half], receivers[half:])
    assert np.array_equal(receivers[:half], senders[half:])
    assert np.array_equal(graph.unit_shifts[:half], -graph.unit_shifts[half:])
    edges = {tuple(map(int, row)) for row in np.column_stack([*graph.edge_index, graph.unit_shifts])}
    assert len(edges) == 2 * half


def test_an_edge_without_its_reverse_makes_no_pairs() -> None:
    edges = np.array([[0, 1, 0, 0], [1, 0, 0, 0]])
    shifts = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [-1, 0, 0]])
    order = paired_order(edges, shifts)
    assert order is not None
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    assert paired_order(edges[:, :3], shifts[:3]) is None
    other = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [-1, 1, 0]])
    assert paired_order(edges, other) is None


def test_batches_keep_first_halves_first() -> None:
    assert all_halves([4, 2]).tolist() == [0, 1, 4, 2, 3, 5]
    assert sorted(all_halves([3, 2, 0]).tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("amplitude_A", [0.0, 0.12])
def test_sharing_changes_no_number(committee, network, frame_of, amplitude_A: float) -> None:
    """Also where all neighbours are equally far, so that equal lengths do not tell edges apart."""
    with numerics("float64", CPU):
        frames = [frame_of(seed, 0, amplitude_A=amplitude_A) for seed in (1, 2)]
        batch = batch_of(committee, frames)
        found = outcome(network, batch)
        assert shared(network) == [True, True]
        for block in network.interactions:
            stop_sharing(block)
        for value, known in zip(found, outcome(network, batch), strict=True):
            torch.testing.assert_close(value, known, rtol=1e-9, atol=1e-9)


def test_edges_in_another_order_go_maces_way(committee, network, frame_of) -> None:
    with numerics("float64", CPU):
        batch = batch_of(committee, [frame_of(1, 0)])
        known = outcome(network, batch)
        half = batch["edge_index"].shape[1] // 2
        order = torch.cat([torch.arange(half), half + torch.arange(half).flip(0)])
        batch["edge_index"] = batch["edge_index"][:, order]
        batch["shifts"], batch["unit_shifts"] = batch["shifts"][order], batch["unit_shifts"][order]
        found = outcome(network, batch)
        assert shared(network) == [False, False]
        for value, expected in zip(found, known, strict=True):
            torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)


def test_copies_share_and_stop_by_themselves(network) -> None:
    copied = copy.deepcopy(network)
    for block in copied.interactions:
        stop_sharing(block)
        assert not block._forward_pre_hooks
        assert not block.conv_tp_weights._forward_hooks
        assert not hasattr(block.conv_tp_weights, "paired")
    for block in network.interactions:
        assert len(block._forward_pre_hooks) == 1
        share_weights(block)
        assert len(block._forward_pre_hooks) == 1, "sharing twice is sharing once"
