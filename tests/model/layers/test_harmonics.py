"""Harmonics as polynomials: e3nn's own numbers and derivatives."""

import pytest
import torch

from defectscape.model.backend import numerics, o3
from defectscape.model.layers.harmonics import ArrangedHarmonics, is_harmonics

CPU = torch.device("cpu")


def derivatives(layer: torch.nn.Module, edges: int) -> list[torch.Tensor]:
    """Harmonics, their gradient, and gradients of that."""
    generator = torch.Generator().manual_seed(1)
    vectors = 3 * torch.randn(edges, 3, generator=generator, requires_grad=True)
    out = layer(vectors)
    first = torch.autograd.grad(out.tanh().sum(), vectors, create_graph=True)[0]
    return [out, first, torch.autograd.grad(first.square().sum(), vectors)[0]]


@pytest.mark.parametrize(("dtype", "exact"), [("float64", 1e-11), ("float32", 1e-4)])
@pytest.mark.parametrize("degree", range(1, 5))
@pytest.mark.parametrize("normalization", ["component", "integral", "norm"])
def test_it_gives_e3nns_numbers_and_derivatives(degree, normalization, dtype, exact) -> None:
    with numerics(dtype, CPU):
        irreps = o3.Irreps.spherical_harmonics(degree)
        plain = o3.SphericalHarmonics(irreps, normalize=True, normalization=normalization)
        assert is_harmonics(plain)
        arranged = ArrangedHarmonics(plain)
        found = [derivatives(layer, 20) for layer in (arranged, plain)]
        for value, known in zip(*found, strict=True):
            assert value.dtype == known.dtype
            torch.testing.assert_close(value, known, rtol=exact, atol=exact)
        assert arranged(torch.zeros(0, 3)).shape == (0, irreps.dim)


def test_other_layers_stay_as_they_are() -> None:
    assert not is_harmonics(o3.SphericalHarmonics("0e + 1o", normalize=False))
    assert not is_harmonics(torch.nn.Linear(3, 4))
