"""The network of radial weights: mace's own numbers and derivatives; networks of other kinds are left alone."""

import pytest
import torch

from defectscape.model.backend import FullyConnectedNet, numerics
from defectscape.model.layers.radial import ArrangedRadial, is_radial, silu

CPU = torch.device("cpu")


def derivatives(layer: torch.nn.Module) -> list[torch.Tensor]:
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
        for value, known in zip(derivatives(arranged), derivatives(plain), strict=True):
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
