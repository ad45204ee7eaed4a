"""Layers that work edge by edge: the numbers and derivatives of mace."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from defectscape.domain.errors import ModelError
from defectscape.model.backend import FullyConnectedNet, mace_modules, numerics, o3
from defectscape.model.dataset import Graphs, collate
from defectscape.model.layers.arrangement import arrange, restore
from defectscape.model.layers.convolution import ArrangedConvolution, is_convolution
from defectscape.model.layers.edge_sums import Rows, edge_sums
from defectscape.model.layers.linear import ArrangedLinear
from defectscape.model.layers.pairs import all_halves, paired_order, share_weights, stop_sharing
from defectscape.model.layers.radial import ArrangedRadial, is_radial, silu

# The arranged convolution: mace's own numbers, its own files, and layers it leaves alone.


CPU = torch.device("cpu")
EDGES, ATOMS = 40, 7


def without_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the loops over edges do not run, on a GPU."""
    for module in ("convolution", "pairs", "contraction", "radial"):
        monkeypatch.setattr(f"defectscape.model.layers.{module}.one_loop_serves", lambda _: False)


def interaction(features: str, harmonics: int, target: str, kind: str = "RealAgnosticResidual") -> torch.nn.Module:
    """A mace interaction with random weights, in the default dtype."""
    return mace_modules.interaction_classes[f"{kind}InteractionBlock"](
        node_attrs_irreps=o3.Irreps("2x0e"),
        node_feats_irreps=o3.Irreps(features),
        edge_attrs_irreps=o3.Irreps.spherical_harmonics(harmonics),
        edge_feats_irreps=o3.Irreps("8x0e"),
        target_irreps=o3.Irreps(target),
        hidden_irreps=o3.Irreps(features),
        avg_num_neighbors=5.0,
        radial_MLP=[16, 16],
    )


def sums(block: torch.nn.Module) -> list[torch.Tensor]:
    """Messages, their gradients, and gradients of these, as a training on forces needs them."""
    torch.manual_seed(1)
    features = torch.randn(ATOMS, block.node_feats_irreps.dim, requires_grad=True)
    harmonics = torch.randn(EDGES, block.edge_attrs_irreps.dim, requires_grad=True)
    lengths = torch.randn(EDGES, 8, requires_grad=True)
    edges = torch.randint(0, ATOMS - 1, (2, EDGES))
    message, _ = block(torch.eye(2)[torch.arange(ATOMS) % 2], features, harmonics, lengths, edges)
    inputs = [features, harmonics, lengths]
    first = torch.autograd.grad(message.tanh().sum(), inputs, create_graph=True)
    weights = list(block.conv_tp_weights.parameters())
    loss = sum(part.square().sum() for part in first)
    second = torch.autograd.grad(loss, [*inputs, *weights])
    return [message, *first, *second]


@pytest.mark.parametrize(
    ("features", "harmonics", "target"),
    [
        ("4x0e", 2, "4x0e+4x1o+4x2e"),
        ("4x0e+4x1o", 2, "4x0e+4x1o+4x2e"),
        ("3x0e+3x1o+3x2e", 3, "3x0e+3x1o+3x2e+3x3o"),
    ],
)
@pytest.mark.parametrize("way", ["one loop", "products"])
@pytest.mark.parametrize("kind", ["RealAgnosticResidual", "RealAgnosticDensityResidual"])
def test_it_gives_maces_messages_and_derivatives(
    features, harmonics, target, kind, way, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "products":
        without_loops(monkeypatch)
    with numerics("float64", CPU):
        torch.manual_seed(0)
        block = interaction(features, harmonics, target, kind)
        expected = sums(block)
        arrange(block)
        assert isinstance(block.conv_tp, ArrangedConvolution)
        # Other kinds of interaction have steps of their own between the layers.
        assert isinstance(block.linear, ArrangedLinear) == (kind == "RealAgnosticResidual")
        for value, known in zip(sums(block), expected, strict=True):
            assert float(known.detach().abs().max()) > 1e-3
            torch.testing.assert_close(value, known, rtol=1e-10, atol=1e-10)


def test_it_leaves_no_trace(committee) -> None:
    network = copy.deepcopy(committee.members[0])
    arranged = [type(block.conv_tp) for block in network.interactions]
    assert arranged == [ArrangedConvolution] * 2, "committees search with it"
    restore(network)
    names, plain = list(network.state_dict()), [block.conv_tp for block in network.interactions]
    assert all(isinstance(layer, o3.TensorProduct) for layer in plain)
    arrange(network)
    restore(network)
    assert list(network.state_dict()) == names
    assert not any(hasattr(block, "conv_fusion") for block in network.interactions)


def test_the_plain_layer_follows_changes_of_dtype() -> None:
    with numerics("float64", CPU):
        block = interaction("4x0e+4x1o", 2, "4x0e+4x1o+4x2e")
        arrange(block)
    with numerics("float32", CPU):
        arranged = sums(block.to(torch.float32))
        restore(block)
        for value, known in zip(sums(block), arranged, strict=True):
            assert value.dtype == torch.float32
            torch.testing.assert_close(value, known, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("way", ["one loop", "products"])
def test_atoms_out_of_reach_of_each_other_receive_nothing(way, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "products":
        without_loops(monkeypatch)
    with numerics("float64", CPU):
        block = interaction("4x0e+4x1o", 2, "4x0e+4x1o+4x2e")
        arrange(block)
        none = torch.zeros(2, 0, dtype=torch.int64)
        features = torch.randn(ATOMS, block.node_feats_irreps.dim, requires_grad=True)
        harmonics = torch.zeros(0, block.edge_attrs_irreps.dim)
        message, _ = block(torch.ones(ATOMS, 2), features, harmonics, torch.zeros(0, 8), none)
        assert message.shape[0] == ATOMS
        assert not message.detach().any()
        assert not torch.autograd.grad(message.sum(), features)[0].any()


def test_other_layers_stay_as_they_are() -> None:
    irreps = o3.Irreps("4x0e")
    paths = [(0, 0, 0, "uuu", True)]
    options = {"internal_weights": False, "shared_weights": False}
    assert not is_convolution(o3.TensorProduct(irreps, irreps, irreps, paths, **options))
    assert not is_convolution(o3.FullyConnectedTensorProduct(irreps, irreps, irreps))
    assert not is_convolution(torch.nn.Linear(2, 2))


def test_a_committee_says_the_same_without_loops(committee, frame_of, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [frame_of(seed, charge) for seed in (60, 61) for charge in (0, 1)]
    in_loops = committee.evaluate_many(frames, "high")
    without_loops(monkeypatch)
    for one, other in zip(in_loops, committee.evaluate_many(frames, "high"), strict=True):
        assert one.energy_eV == pytest.approx(other.energy_eV, abs=1e-9)
        np.testing.assert_allclose(one.forces_eV_A, other.forces_eV_A, rtol=0, atol=1e-9)


# Sums over edges in one loop: the plain formula's numbers, and derivatives that finite differences confirm.


SUM_ATOMS, SUM_EDGES, CHANNELS, PATHS = 5, 12, 3, 4
ROWS = Rows(
    path=np.array([0, 1, 1, 1, 2, 3, 3, 3]),
    first=np.array([0, 0, 0, 0, 1, 1, 1, 1]),
    width=np.array([1, 1, 1, 1, 3, 3, 3, 3]),
    offset=np.array([0, 1, 2, 3, 4, 7, 10, 13]),
)


def inputs(dtype: torch.dtype = torch.float64, weights: int = SUM_EDGES) -> tuple[torch.Tensor, ...]:
    """Table, features, weights and edges; atom 4 receives nothing, and one edge leads to itself."""
    generator = torch.Generator().manual_seed(3)
    shapes = [(SUM_EDGES, 16), (SUM_ATOMS, 4, CHANNELS), (weights, PATHS, CHANNELS)]
    parts = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    edges = torch.randint(0, SUM_ATOMS - 1, (2, SUM_EDGES), generator=generator)
    edges[:, 0] = 2
    return (*(part.requires_grad_() for part in parts), edges)


def plain(table, features, weights, edges) -> torch.Tensor:
    """The formula, row by row."""
    columns = []
    for path, first, count, offset in zip(*ROWS, strict=True):
        taken = features[edges[0]][:, first : first + count]
        inner = (table[:, offset : offset + count, None] * taken).sum(1)
        out = features.new_zeros(len(features), CHANNELS)
        columns.append(out.index_add(0, edges[1], weights[:, path] * inner))
    return torch.stack(columns, 1)


@pytest.mark.parametrize(("dtype", "exact"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_it_is_the_plain_formula(dtype, exact) -> None:
    found = edge_sums(*inputs(dtype), ROWS)
    assert found.dtype == dtype
    torch.testing.assert_close(found, plain(*inputs(dtype)), rtol=exact, atol=exact)
    assert not found[4].any()


@pytest.mark.parametrize("weights", [SUM_EDGES, SUM_EDGES // 2])
def test_first_and_second_derivatives(weights) -> None:
    *parts, edges = inputs(weights=weights)

    def total(table, features, weights):
        return edge_sums(table, features, weights, edges, ROWS)

    assert torch.autograd.gradcheck(total, parts)
    assert torch.autograd.gradgradcheck(total, parts)


def test_half_the_weights_serve_both_halves() -> None:
    table, features, weights, edges = inputs(weights=SUM_EDGES // 2)
    both = torch.cat([weights, weights])
    assert torch.equal(
        edge_sums(table, features, weights, edges, ROWS),
        edge_sums(table, features, both, edges, ROWS),
    )


def test_memory_in_another_order_gives_the_same() -> None:
    table, features, weights, edges = inputs()
    turned = features.detach().transpose(1, 2).contiguous().transpose(1, 2)
    assert not turned.is_contiguous()
    assert torch.equal(
        edge_sums(table, turned, weights, edges, ROWS),
        edge_sums(table, features, weights, edges, ROWS),
    )


@pytest.mark.parametrize("place", range(3))
def test_shapes_that_do_not_fit_are_refused(place) -> None:
    *parts, edges = inputs()
    parts[place] = parts[place][:, :-1]
    with pytest.raises(ModelError, match="do not fit"):
        edge_sums(*parts, edges, ROWS)
    table, features, weights, edges = inputs()
    with pytest.raises(ModelError, match="do not fit"):
        edge_sums(table, features, weights[:5], edges, ROWS)


# Edges and their reverses: weights of one serve both, only where both are there.


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


# The network of radial weights: mace's own numbers and derivatives; networks of other kinds are left alone.


def radial_derivatives(layer: torch.nn.Module) -> list[torch.Tensor]:
    """Weights of edges, their gradient, and gradients of that."""
    generator = torch.Generator().manual_seed(1)
    radial = torch.randn(9, 8, generator=generator, requires_grad=True)
    out = layer(radial)
    first = torch.autograd.grad(out.tanh().sum(), radial, create_graph=True)[0]
    return [out, first, *torch.autograd.grad(first.square().sum(), [radial, *layer.parameters()])]


@pytest.mark.parametrize(("dtype", "exact"), [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize("widths", [[8, 6], [8, 16, 6], [8, 16, 4, 12, 6]])
def test_it_gives_maces_weights_and_derivatives(widths, dtype, exact) -> None:
    with numerics(dtype, CPU):
        torch.manual_seed(0)
        plain = FullyConnectedNet(widths, torch.nn.functional.silu, variance_in=2, variance_out=3)
        assert is_radial(plain)
        arranged = ArrangedRadial(plain)
        for value, known in zip(radial_derivatives(arranged), radial_derivatives(plain), strict=True):
            assert value.dtype == known.dtype
            torch.testing.assert_close(value, known, rtol=exact, atol=exact)


def test_derivatives_of_silu() -> None:
    values = torch.linspace(-4, 4, 12, dtype=torch.float64).view(3, 4).T.requires_grad_()
    torch.testing.assert_close(silu(values), torch.nn.functional.silu(values))
    assert torch.autograd.gradcheck(silu, values)
    assert torch.autograd.gradgradcheck(silu, values)


def test_other_networks_stay_as_they_are() -> None:
    assert not is_radial(FullyConnectedNet([8, 4, 2], torch.tanh))
    assert not is_radial(FullyConnectedNet([8, 4], torch.nn.functional.silu, out_act=True))
    assert not is_radial(torch.nn.Linear(2, 2))
