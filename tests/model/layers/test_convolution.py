"""The arranged convolution: mace's own numbers, its own files, and layers it leaves alone."""

import copy

import numpy as np
import pytest
import torch

from defectscape.model.backend import mace_modules, numerics, o3
from defectscape.model.layers.arrangement import arrange, restore
from defectscape.model.layers.convolution import ArrangedConvolution, is_convolution
from defectscape.model.layers.linear import ArrangedLinear

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
