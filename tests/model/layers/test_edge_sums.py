"""Sums over edges in one loop: the plain formula's numbers, and derivatives that finite differences confirm."""

import numpy as np
import pytest
import torch

from defectscape.domain.errors import ModelError
from defectscape.model.layers.edge_sums import Rows, edge_sums

ATOMS, EDGES, CHANNELS, PATHS = 5, 12, 3, 4
ROWS = Rows(
    path=np.array([0, 1, 1, 1, 2, 3, 3, 3]),
    first=np.array([0, 0, 0, 0, 1, 1, 1, 1]),
    width=np.array([1, 1, 1, 1, 3, 3, 3, 3]),
    offset=np.array([0, 1, 2, 3, 4, 7, 10, 13]),
)


def inputs(dtype: torch.dtype = torch.float64, weights: int = EDGES) -> tuple[torch.Tensor, ...]:
    """Table, features, weights and edges; atom 4 receives nothing, and one edge leads to itself."""
    generator = torch.Generator().manual_seed(3)
    shapes = [(EDGES, 16), (ATOMS, 4, CHANNELS), (weights, PATHS, CHANNELS)]
    parts = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    edges = torch.randint(0, ATOMS - 1, (2, EDGES), generator=generator)
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


@pytest.mark.parametrize("weights", [EDGES, EDGES // 2])
def test_first_and_second_derivatives(weights) -> None:
    *parts, edges = inputs(weights=weights)

    def total(table, features, weights):
        return edge_sums(table, features, weights, edges, ROWS)

    assert torch.autograd.gradcheck(total, parts)
    assert torch.autograd.gradgradcheck(total, parts)


def test_half_the_weights_serve_both_halves() -> None:
    table, features, weights, edges = inputs(weights=EDGES // 2)
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
