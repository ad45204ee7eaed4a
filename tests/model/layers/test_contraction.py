"""The arranged contraction: mace's own numbers and derivatives, in its own layers' place."""

import copy

import pytest
import torch

from defectscape.model.backend import SymmetricContraction, mace_modules, numerics, o3
from defectscape.model.card import PRODUCT_BASES, ProductBasis
from defectscape.model.layers.arrangement import arrange, restore
from defectscape.model.layers.contraction import ArrangedContraction, is_contraction
from defectscape.model.product_basis import built_with

CPU = torch.device("cpu")
ATOMS, KINDS = 6, 2


def product(features: str, target: str, correlation: int, basis: ProductBasis) -> torch.nn.Module:
    """mace's product of an atom's features with random weights, in the default dtype."""
    with built_with(basis):
        return mace_modules.EquivariantProductBasisBlock(
            node_feats_irreps=o3.Irreps(features),
            target_irreps=o3.Irreps(target),
            correlation=correlation,
            num_elements=KINDS,
            use_sc=False,
            use_reduced_cg=False,
        )


def derivatives(block: torch.nn.Module, width: int) -> list[torch.Tensor]:
    """Outcome, its gradient, and gradients of that, as a training on forces needs them."""
    torch.manual_seed(1)
    channels = block.linear.irreps_in[0].mul
    features = torch.randn(ATOMS, channels, width, requires_grad=True)
    kinds = torch.eye(KINDS)[torch.arange(ATOMS) % KINDS]
    out = block(features, None, kinds)
    first = torch.autograd.grad(out.tanh().sum(), features, create_graph=True)[0]
    weights = [weight for weight in block.parameters() if weight.requires_grad]
    second = torch.autograd.grad(first.square().sum(), [features, *weights], allow_unused=True)
    return [out, first, *(part for part in second if part is not None)]


@pytest.mark.parametrize("basis", PRODUCT_BASES)
@pytest.mark.parametrize(
    ("features", "target", "correlation", "width"),
    [
        ("4x0e+4x1o+4x2e", "4x0e", 2, 9),
        ("4x0e+4x1o+4x2e", "4x0e+4x1o", 2, 9),
        ("3x0e+3x1o+3x2e", "3x0e+3x1o", 3, 9),
        ("3x0e+3x1o+3x2e+3x3o", "3x0e+3x1o+3x2e", 3, 16),
    ],
)
def test_it_gives_maces_products_and_derivatives(features, target, correlation, width, basis) -> None:
    with numerics("float64", CPU):
        torch.manual_seed(0)
        block = product(features, target, correlation, basis)
        expected = derivatives(block, width)
        arrange(block)
        assert isinstance(block.symmetric_contractions, ArrangedContraction)
        found = derivatives(block, width)
        assert len(found) >= 3
        for value, known in zip(found, expected, strict=True):
            assert float(known.detach().abs().max()) > 1e-3
            torch.testing.assert_close(value, known, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("basis", PRODUCT_BASES)
def test_single_precision_has_no_products_of_rounding(basis) -> None:
    number = {}
    for dtype in ("float64", "float32"):
        with numerics(dtype, CPU):
            block = product("3x0e+3x1o+3x2e", "3x0e+3x1o", 3, basis)
            arrange(block)
        number[dtype] = len(block.symmetric_contractions.terms.row)
    assert number["float32"] == number["float64"] == {"full": 461, "reduced": 123}[basis]


def test_it_leaves_no_trace(committee) -> None:
    network = copy.deepcopy(committee.members[0])
    arranged = [type(block.symmetric_contractions) for block in network.products]
    assert arranged == [ArrangedContraction] * 2, "committees search with it"
    restore(network)
    assert all(type(block.symmetric_contractions) is SymmetricContraction for block in network.products)
    names, weights = list(network.state_dict()), list(network.parameters())
    arrange(network)
    assert all(one is other for one, other in zip(network.parameters(), weights, strict=True))
    restore(network)
    assert list(network.state_dict()) == names


def test_other_layers_stay_as_they_are() -> None:
    assert not is_contraction(torch.nn.Linear(2, 2))
