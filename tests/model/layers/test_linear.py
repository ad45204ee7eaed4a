"""e3nn's linear layers for rows: its own numbers and derivatives."""

import pytest
import torch

from defectscape.model.backend import numerics, o3
from defectscape.model.layers.linear import ArrangedLinear, is_linear, to_mace, to_rows

CPU = torch.device("cpu")
ATOMS = 5


@pytest.mark.parametrize("irreps", ["4x0e", "3x0e+3x1o+3x2e"])
def test_rows_and_back(irreps) -> None:
    irreps = o3.Irreps(irreps)
    features = torch.randn(ATOMS, irreps.dim)
    rows = to_rows(features, irreps)
    assert rows.shape == (ATOMS, irreps.dim // irreps[0].mul, irreps[0].mul)
    assert torch.equal(to_mace(rows, irreps), features)
    # Component m of channel u of the vectors.
    if irreps.lmax:
        assert torch.equal(rows[:, 3, 2], features[:, 3 + 2 * 3 + 2])


@pytest.mark.parametrize(("before", "after"), [("4x0e", "6x0e"), ("4x0e+4x1o", "4x0e+4x1o"), ("2x0e+2x1o+2x2e",) * 2])
def test_it_gives_e3nns_numbers_and_derivatives(before, after) -> None:
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
            features = torch.randn(ATOMS, plain.irreps_in.dim, requires_grad=True)
            out = layer(features)
            first = torch.autograd.grad(out.tanh().sum(), features, create_graph=True)[0]
            second = torch.autograd.grad(first.square().sum(), [features, plain.weight])
            found.append([out, first, *second])
        for value, known in zip(*found, strict=True):
            torch.testing.assert_close(value, known, rtol=1e-12, atol=1e-12)


def test_paths_to_one_irrep_lie_side_by_side() -> None:
    plain = o3.Linear("2x0e+2x0e+2x1o+2x1o+2x1o", "5x0e+5x1o")
    assert is_linear(plain)
    features = torch.randn(ATOMS, plain.irreps_in.dim)
    scalars = features[:, :4].view(ATOMS, 2, 2)
    vectors = features[:, 4:].view(ATOMS, 3, 2, 3).permute(0, 3, 1, 2).reshape(ATOMS, 9, 2)
    out = ArrangedLinear(plain)(torch.cat([scalars, vectors], 1))
    torch.testing.assert_close(to_mace(out, plain.irreps_out), plain(features))


def test_other_layers_stay_as_they_are() -> None:
    assert not is_linear(o3.Linear("2x0e+3x1o", "2x0e+2x1o"))
    assert not is_linear(o3.Linear("2x0e+2x1o+2x0e", "2x0e+2x1o")), "kinds that are not together"
    assert not is_linear(o3.Linear("2x0e", "2x0e", biases=True))
    assert not is_linear(o3.Linear("2x0e", "2x0e+2x1o")), "an irrep that nothing leads to"
    assert not is_linear(torch.nn.Linear(2, 2))
