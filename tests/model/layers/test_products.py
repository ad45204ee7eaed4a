"""Layers that work atom by atom or component by component: the numbers and derivatives of mace and e3nn."""

import copy

import numpy as np
import pytest
import torch

from defectscape.domain.errors import ModelError
from defectscape.model.backend import SymmetricContraction, mace_modules, numerics, o3
from defectscape.model.card import PRODUCT_BASES, ProductBasis
from defectscape.model.layers.arrangement import arrange, restore
from defectscape.model.layers.atom_products import Terms, atom_products
from defectscape.model.layers.contraction import ArrangedContraction, is_contraction
from defectscape.model.layers.harmonics import ArrangedHarmonics, is_harmonics
from defectscape.model.layers.linear import ArrangedLinear, is_linear, to_mace, to_rows
from defectscape.model.product_basis import built_with

# Products of features in one loop: the plain formula's numbers, and derivatives that finite differences confirm.


ATOMS, COMPONENTS, WEIGHTS, CHANNELS, ROWS = 3, 4, 3, 2, 3
# Of one to three factors, a square and a cube among them; row 2 gets nothing.
FACTORS = [(0,), (1, 2), (2, 2), (0, 1, 3), (3, 3, 3), (1, 1, 0)]
TERMS = Terms(
    coefficient=np.array([0.5, -1.2, 0.7, 1.1, -0.3, 0.9]),
    row=np.array([0, 0, 1, 1, 0, 1]),
    weight=np.array([0, 1, 1, 2, 2, 0]),
    degree=np.array([len(factors) for factors in FACTORS]),
    factors=np.array([(*factors, 0, 0)[:3] for factors in FACTORS]),
)


def inputs(dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Features and weights."""
    generator = torch.Generator().manual_seed(3)
    shapes = [(ATOMS, COMPONENTS, CHANNELS), (ATOMS, WEIGHTS, CHANNELS)]
    parts = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    return [part.requires_grad_() for part in parts]


def plain(features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The formula, term by term."""
    rows = [torch.zeros_like(features[:, 0]) for _ in range(ROWS)]
    for place, factors in enumerate(FACTORS):
        value = TERMS.coefficient[place] * weights[:, TERMS.weight[place]]
        for factor in factors:
            value = value * features[:, factor]
        rows[TERMS.row[place]] = rows[TERMS.row[place]] + value
    return torch.stack(rows, 1)


@pytest.mark.parametrize(("dtype", "exact"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_it_is_the_plain_formula(dtype, exact) -> None:
    found = atom_products(*inputs(dtype), TERMS, ROWS)
    assert found.dtype == dtype
    torch.testing.assert_close(found, plain(*inputs(dtype)), rtol=exact, atol=exact)
    assert not found[:, 2].any()


def test_first_and_second_derivatives() -> None:
    def total(features, weights):
        return atom_products(features, weights, TERMS, ROWS)

    assert torch.autograd.gradcheck(total, inputs())
    assert torch.autograd.gradgradcheck(total, inputs())


@pytest.mark.parametrize("place", range(2))
@pytest.mark.parametrize("axis", range(3))
def test_shapes_that_do_not_fit_are_refused(place, axis) -> None:
    parts = inputs()
    parts[place] = parts[place].narrow(axis, 0, parts[place].shape[axis] - 1)
    with pytest.raises(ModelError, match="do not fit"):
        atom_products(*parts, TERMS, ROWS)
    with pytest.raises(ModelError, match="do not fit"):
        atom_products(*inputs(), TERMS, 1)


# The arranged contraction: mace's own numbers and derivatives, in its own layers' place.


CPU = torch.device("cpu")
CONTRACTION_ATOMS, KINDS = 6, 2


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


def contraction_derivatives(block: torch.nn.Module, width: int) -> list[torch.Tensor]:
    """Outcome, its gradient, and gradients of that, as a training on forces needs them."""
    torch.manual_seed(1)
    channels = block.linear.irreps_in[0].mul
    features = torch.randn(CONTRACTION_ATOMS, channels, width, requires_grad=True)
    kinds = torch.eye(KINDS)[torch.arange(CONTRACTION_ATOMS) % KINDS]
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
        expected = contraction_derivatives(block, width)
        arrange(block)
        assert isinstance(block.symmetric_contractions, ArrangedContraction)
        found = contraction_derivatives(block, width)
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


def test_other_layers_are_no_contractions() -> None:
    assert not is_contraction(torch.nn.Linear(2, 2))


# e3nn's linear layers for rows: its own numbers and derivatives.


LINEAR_ATOMS = 5


@pytest.mark.parametrize("irreps", ["4x0e", "3x0e+3x1o+3x2e"])
def test_rows_and_back(irreps) -> None:
    irreps = o3.Irreps(irreps)
    features = torch.randn(LINEAR_ATOMS, irreps.dim)
    rows = to_rows(features, irreps)
    assert rows.shape == (LINEAR_ATOMS, irreps.dim // irreps[0].mul, irreps[0].mul)
    assert torch.equal(to_mace(rows, irreps), features)
    # Component m of channel u of the vectors.
    if irreps.lmax:
        assert torch.equal(rows[:, 3, 2], features[:, 3 + 2 * 3 + 2])


@pytest.mark.parametrize(("before", "after"), [("4x0e", "6x0e"), ("4x0e+4x1o", "4x0e+4x1o"), ("2x0e+2x1o+2x2e",) * 2])
def test_a_linear_layer_gives_e3nns_numbers_and_derivatives(before, after) -> None:
    with numerics("float64", CPU):
        plain = o3.Linear(before, after)
        assert is_linear(plain)
        arranged = ArrangedLinear(plain)
        found = []
        for layer in (
            plain,
            lambda x: to_mace(arranged(to_rows(x, plain.irreps_in)), plain.irreps_out),
        ):
            torch.manual_seed(1)
            features = torch.randn(LINEAR_ATOMS, plain.irreps_in.dim, requires_grad=True)
            out = layer(features)
            first = torch.autograd.grad(out.tanh().sum(), features, create_graph=True)[0]
            second = torch.autograd.grad(first.square().sum(), [features, plain.weight])
            found.append([out, first, *second])
        for value, known in zip(*found, strict=True):
            torch.testing.assert_close(value, known, rtol=1e-12, atol=1e-12)


def test_paths_to_one_irrep_lie_side_by_side() -> None:
    plain = o3.Linear("2x0e+2x0e+2x1o+2x1o+2x1o", "5x0e+5x1o")
    assert is_linear(plain)
    features = torch.randn(LINEAR_ATOMS, plain.irreps_in.dim)
    scalars = features[:, :4].view(LINEAR_ATOMS, 2, 2)
    vectors = features[:, 4:].view(LINEAR_ATOMS, 3, 2, 3).permute(0, 3, 1, 2).reshape(LINEAR_ATOMS, 9, 2)
    out = ArrangedLinear(plain)(torch.cat([scalars, vectors], 1))
    torch.testing.assert_close(to_mace(out, plain.irreps_out), plain(features))


def test_other_layers_are_not_linear() -> None:
    assert not is_linear(o3.Linear("2x0e+3x1o", "2x0e+2x1o"))
    assert not is_linear(o3.Linear("2x0e+2x1o+2x0e", "2x0e+2x1o")), "kinds that are not together"
    assert not is_linear(o3.Linear("2x0e", "2x0e", biases=True))
    assert not is_linear(o3.Linear("2x0e", "2x0e+2x1o")), "an irrep that nothing leads to"
    assert not is_linear(torch.nn.Linear(2, 2))


# Harmonics as polynomials: e3nn's own numbers and derivatives.


def harmonic_derivatives(layer: torch.nn.Module, edges: int) -> list[torch.Tensor]:
    """Harmonics, their gradient, and gradients of that."""
    generator = torch.Generator().manual_seed(1)
    vectors = 3 * torch.randn(edges, 3, generator=generator, requires_grad=True)
    out = layer(vectors)
    first = torch.autograd.grad(out.tanh().sum(), vectors, create_graph=True)[0]
    return [out, first, torch.autograd.grad(first.square().sum(), vectors)[0]]


@pytest.mark.parametrize(("dtype", "exact"), [("float64", 1e-11), ("float32", 1e-4)])
@pytest.mark.parametrize("degree", range(1, 5))
@pytest.mark.parametrize("normalization", ["component", "integral", "norm"])
def test_harmonics_give_e3nns_numbers_and_derivatives(degree, normalization, dtype, exact) -> None:
    with numerics(dtype, CPU):
        irreps = o3.Irreps.spherical_harmonics(degree)
        plain = o3.SphericalHarmonics(irreps, normalize=True, normalization=normalization)
        assert is_harmonics(plain)
        arranged = ArrangedHarmonics(plain)
        found = [harmonic_derivatives(layer, 20) for layer in (arranged, plain)]
        for value, known in zip(*found, strict=True):
            assert value.dtype == known.dtype
            torch.testing.assert_close(value, known, rtol=exact, atol=exact)
        assert arranged(torch.zeros(0, 3)).shape == (0, irreps.dim)


def test_other_layers_are_no_harmonics() -> None:
    assert not is_harmonics(o3.SphericalHarmonics("0e + 1o", normalize=False))
    assert not is_harmonics(torch.nn.Linear(3, 4))
