"""Sums over edges in one pass, on a processor: nothing of the size of all edges is written between the steps.

Of atoms' features x, learned weights w and tables M, each receiver n gets, for every row r and channel u,

    out[n, r, u] = sum over edges e to n of w[e, path(r), u] * sum over i of M[e, r, i] x[sender(e), i, u].

With S = sum of g * out, linear in each of M, x, w and g, all derivatives are such sums again: the first ones
are those of S, and the second ones those of S with one factor replaced by what it is multiplied by. So three
loops over the edges do all that a training on forces needs, where torch would go through memory for every
product, twice for each derivative. numba compiles them for the processor at hand, once, into its cache.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numba
import numpy as np
import torch

from defectscape.domain.errors import ModelError

__all__ = ["Rows", "edge_sums", "one_loop_serves"]

Array = np.ndarray

FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
"""Sums may be taken in any order; what is not a number stays so, for the loss is checked for it."""


def _compiled(function: Callable) -> Any:
    """Compiled at its first call, and kept where the package or the user's cache can be written."""
    options: dict[str, Any] = {"fastmath": FASTMATH, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither can
        return numba.njit(**options)(function)


class Rows(NamedTuple):
    """What the rows are made of; whole numbers, (r,) each.

    Attributes:
        path: column of the weights.
        first: the first component of the features it takes.
        width: how many components, one after the other.
        offset: where its part of the table begins.
    """

    path: np.ndarray
    first: np.ndarray
    width: np.ndarray
    offset: np.ndarray


def one_loop_serves(tensor: torch.Tensor) -> bool:
    """Whether it lies where the loops run: in a processor's memory."""
    return tensor.device.type == "cpu"


def edge_sums(
    table: torch.Tensor,
    features: torch.Tensor,
    weights: torch.Tensor,
    edges: torch.Tensor,
    rows: Rows,
) -> torch.Tensor:
    """What each atom receives, (n, r, u); differentiable twice, by the first three arguments.

    Args:
        table: M, rows one after the other, (e, t).
        features: x, of atoms, (n, i, u).
        weights: w, (e, paths, u); or (e / 2, paths, u), where the second half of the edges has those of the first.
        edges: senders and receivers, (2, e).
        rows: what each row takes.

    Raises:
        ModelError: if the shapes do not fit each other; the loops do not look.
    """
    number, needed = edges.shape[1], int((rows.offset + rows.width).max())
    fits = (
        table.shape == (number, needed)
        and len(weights) in (number, number / 2)
        and weights.shape[1] > rows.path.max()
        and features.shape[1] >= (rows.first + rows.width).max()
        and features.shape[2] == weights.shape[2]
    )
    if not fits:
        shapes = [tuple(part.shape) for part in (table, features, weights, edges)]
        raise ModelError("sums over edges", shapes, "These shapes do not fit; please report it")
    return cast(torch.Tensor, _Sums.apply(table, features, weights, edges, rows))


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Any, features: Any, weights: Any, edges: Any, rows: Rows) -> Any:
        ctx.save_for_backward(table, features, weights, edges)
        ctx.rows = rows
        out = features.new_zeros(len(features), len(rows.path), features.shape[2])
        _sums(*_arrays(table, features, weights, edges), *rows, out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, given: Any) -> Any:
        return (*_Slopes.apply(given, *ctx.saved_tensors, ctx.rows), None, None)


class _Slopes(torch.autograd.Function):
    """Derivatives of S by table, features and weights."""

    @staticmethod
    def forward(
        ctx: Any, given: Any, table: Any, features: Any, weights: Any, edges: Any, rows: Rows
    ) -> Any:
        ctx.save_for_backward(given, table, features, weights, edges)
        ctx.rows = rows
        slopes = _zeros(table, features, weights)
        _slopes(
            *_arrays(given, table, features, weights, edges), *rows,
            *(part.numpy() for part in slopes),
        )  # fmt: skip
        return tuple(slopes)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_table: Any, by_features: Any, by_weights: Any) -> Any:
        given, table, features, weights, edges = ctx.saved_tensors
        slopes = _zeros(given, table, features, weights)
        _curvatures(
            *_arrays(given, table, features, weights, by_table, by_features, by_weights, edges),
            *ctx.rows, *(part.numpy() for part in slopes),
        )  # fmt: skip
        return (*slopes, None, None)


def _zeros(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """As large, row by row."""
    return [torch.zeros_like(part, memory_format=torch.contiguous_format) for part in tensors]


def _arrays(*tensors: torch.Tensor) -> list[np.ndarray]:
    """The tensors' memory, row by row."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


@_compiled
def _sums(
    table: Array, x: Array, w: Array, edges: Array,
    path: Array, first: Array, count: Array, offset: Array, out: Array,
) -> None:  # fmt: skip
    channels = x.shape[2]
    inner = np.empty(channels, x.dtype)
    for e in range(edges.shape[1]):
        s, n, k = edges[0, e], edges[1, e], e % len(w)
        for r in range(len(path)):
            p, f, o = path[r], first[r], offset[r]
            inner[:] = table[e, o] * x[s, f]
            for i in range(1, count[r]):
                m = table[e, o + i]
                for u in range(channels):
                    inner[u] += m * x[s, f + i, u]
            for u in range(channels):
                out[n, r, u] += w[k, p, u] * inner[u]


@_compiled
def _slopes(
    g: Array, table: Array, x: Array, w: Array, edges: Array,
    path: Array, first: Array, count: Array, offset: Array, dm: Array, dx: Array, dw: Array,
) -> None:  # fmt: skip
    channels = x.shape[2]
    inner, weighted = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    for e in range(edges.shape[1]):
        s, n, k = edges[0, e], edges[1, e], e % len(w)
        for r in range(len(path)):
            p, f, o = path[r], first[r], offset[r]
            for u in range(channels):
                weighted[u] = g[n, r, u] * w[k, p, u]
                inner[u] = 0.0
            for i in range(count[r]):
                m, total = table[e, o + i], x.dtype.type(0.0)
                for u in range(channels):
                    inner[u] += m * x[s, f + i, u]
                    dx[s, f + i, u] += m * weighted[u]
                    total += weighted[u] * x[s, f + i, u]
                dm[e, o + i] = total
            for u in range(channels):
                dw[k, p, u] += g[n, r, u] * inner[u]


@_compiled
def _curvatures(
    g: Array, table: Array, x: Array, w: Array, hm: Array, hx: Array, hw: Array, edges: Array,
    path: Array, first: Array, count: Array, offset: Array,
    dg: Array, dm: Array, dx: Array, dw: Array,
) -> None:  # fmt: skip
    channels = x.shape[2]
    inner, moved = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    weighted, swayed = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    for e in range(edges.shape[1]):
        s, n, k = edges[0, e], edges[1, e], e % len(w)
        for r in range(len(path)):
            p, f, o = path[r], first[r], offset[r]
            for u in range(channels):
                weighted[u] = g[n, r, u] * w[k, p, u]
                swayed[u] = g[n, r, u] * hw[k, p, u]
                inner[u] = 0.0
                moved[u] = 0.0
            for i in range(count[r]):
                m, h, total = table[e, o + i], hm[e, o + i], x.dtype.type(0.0)
                for u in range(channels):
                    value, change = x[s, f + i, u], hx[s, f + i, u]
                    inner[u] += m * value
                    moved[u] += h * value + m * change
                    dx[s, f + i, u] += h * weighted[u] + m * swayed[u]
                    total += weighted[u] * change + swayed[u] * value
                dm[e, o + i] = total
            for u in range(channels):
                dg[n, r, u] += w[k, p, u] * moved[u] + hw[k, p, u] * inner[u]
                dw[k, p, u] += g[n, r, u] * moved[u]
