"""Sums over edges in one pass, on a processor: nothing of the size of all edges is written between the steps.

Of atoms' features x, learned weights w and tables M, each receiver n gets, for every row r and channel u,

    out[n, r, u] = sum over edges e to n of w[e, path(r), u] * sum over i of M[e, r, i] x[sender(e), i, u].

With S = sum of g * out, linear in each of M, x, w and g, all derivatives are such sums again: the first ones
are those of S, and the second ones those of S with one factor replaced by what it is multiplied by. So three
loops over the edges do all that a training on forces needs, where torch would go through memory for every
product, twice for each derivative.
"""

from typing import Any, NamedTuple, cast

import numpy as np
import torch

from defectscape.domain.errors import ModelError
from defectscape.model.layers.compiled import Array, arrays, compiled, zeros_like

__all__ = ["Rows", "edge_sums"]


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
        _sums(*arrays(table, features, weights, edges), *rows, out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, given: Any) -> Any:
        return (*_Slopes.apply(given, *ctx.saved_tensors, ctx.rows), None, None)


class _Slopes(torch.autograd.Function):
    """Derivatives of S by table, features and weights."""

    @staticmethod
    def forward(ctx: Any, given: Any, table: Any, features: Any, weights: Any, edges: Any, rows: Rows) -> Any:
        ctx.save_for_backward(given, table, features, weights, edges)
        ctx.rows = rows
        slopes = zeros_like(table, features, weights)
        _slopes(
            *arrays(given, table, features, weights, edges),
            *rows,
            *(part.numpy() for part in slopes),
        )
        return tuple(slopes)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_table: Any, by_features: Any, by_weights: Any) -> Any:
        given, table, features, weights, edges = ctx.saved_tensors
        slopes = zeros_like(given, table, features, weights)
        _curvatures(
            *arrays(given, table, features, weights, by_table, by_features, by_weights, edges),
            *ctx.rows,
            *(part.numpy() for part in slopes),
        )
        return (*slopes, None, None)


@compiled
def _sums(
    table: Array,
    x: Array,
    w: Array,
    edges: Array,
    path: Array,
    first: Array,
    count: Array,
    offset: Array,
    out: Array,
) -> None:
    for e in range(edges.shape[1]):
        m_e, x_s, w_k, out_n = table[e], x[edges[0, e]], w[e % len(w)], out[edges[1, e]]
        for r in range(len(path)):
            p, f, o = path[r], first[r], offset[r]
            for i in range(count[r]):
                m = m_e[o + i]
                for u in range(x.shape[2]):
                    out_n[r, u] += m * w_k[p, u] * x_s[f + i, u]


@compiled
def _slopes(
    g: Array,
    table: Array,
    x: Array,
    w: Array,
    edges: Array,
    path: Array,
    first: Array,
    count: Array,
    offset: Array,
    dm: Array,
    dx: Array,
    dw: Array,
) -> None:
    for e in range(edges.shape[1]):
        s, n, k = edges[0, e], edges[1, e], e % len(w)
        g_n, m_e, x_s, w_k = g[n], table[e], x[s], w[k]
        dm_e, dx_s, dw_k = dm[e], dx[s], dw[k]
        for r in range(len(path)):
            p, f, o = path[r], first[r], offset[r]
            for i in range(count[r]):
                m, total = m_e[o + i], x.dtype.type(0.0)
                for u in range(x.shape[2]):
                    weighted = g_n[r, u] * w_k[p, u]
                    total += weighted * x_s[f + i, u]
                    dx_s[f + i, u] += m * weighted
                    dw_k[p, u] += m * g_n[r, u] * x_s[f + i, u]
                dm_e[o + i] = total


@compiled
def _curvatures(
    g: Array,
    table: Array,
    x: Array,
    w: Array,
    hm: Array,
    hx: Array,
    hw: Array,
    edges: Array,
    path: Array,
    first: Array,
    count: Array,
    offset: Array,
    dg: Array,
    dm: Array,
    dx: Array,
    dw: Array,
) -> None:
    for e in range(edges.shape[1]):
        s, n, k = edges[0, e], edges[1, e], e % len(w)
        g_n, m_e, x_s, w_k = g[n], table[e], x[s], w[k]
        hm_e, hx_s, hw_k = hm[e], hx[s], hw[k]
        dg_n, dm_e, dx_s, dw_k = dg[n], dm[e], dx[s], dw[k]
        for r in range(len(path)):
            p, f, o = path[r], first[r], offset[r]
            for i in range(count[r]):
                m, h, total = m_e[o + i], hm_e[o + i], x.dtype.type(0.0)
                for u in range(x.shape[2]):
                    value, change = x_s[f + i, u], hx_s[f + i, u]
                    weighted, swayed = g_n[r, u] * w_k[p, u], g_n[r, u] * hw_k[p, u]
                    moved = h * value + m * change
                    dg_n[r, u] += w_k[p, u] * moved + hw_k[p, u] * m * value
                    dw_k[p, u] += g_n[r, u] * moved
                    dx_s[f + i, u] += h * weighted + m * swayed
                    total += weighted * change + swayed * value
                dm_e[o + i] = total
