"""Products of features in one loop: the plain formula's numbers, and derivatives that finite differences confirm."""

import numpy as np
import pytest
import torch

from defectscape.domain.errors import ModelError
from defectscape.model.layers.atom_products import Terms, atom_products

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
