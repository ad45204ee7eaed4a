"""Sums of products of each atom's features in one pass, on a processor.

Of the features x and weights w of an atom b, every row o and channel u of the outcome is a polynomial,

    out[b, o, u] = sum over terms t of row o of c[t] w[b, k(t), u] * product over i in t of x[b, i, u].

With S = sum of g * out, the first derivatives are those of S, and the second ones those of S with one
factor replaced by what it is multiplied by, one factor after the other: three loops over atoms and terms
do all that a training on forces needs.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from defectscape.domain.errors import ModelError
from defectscape.model.layers.compiled import Array, arrays, compiled, zeros_like

__all__ = ["Terms", "atom_products"]


class Terms(NamedTuple):
    """What is summed; whole numbers but for the coefficients.

    Attributes:
        coefficient: c, (t,).
        row: of the outcome, (t,).
        weight: row of the weights, (t,).
        degree: how many factors, (t,).
        factors: rows of the features, (t, largest degree); those beyond the degree do not count.
    """

    coefficient: np.ndarray
    row: np.ndarray
    weight: np.ndarray
    degree: np.ndarray
    factors: np.ndarray

    @classmethod
    def of(cls, terms: Sequence[tuple[float, int, int, Sequence[int]]]) -> "Terms":
        """Of coefficient, row, weight and factors of each term."""
        coefficients, rows, weights, factors = zip(*terms, strict=True)
        degrees = [len(each) for each in factors]
        table = np.zeros((len(terms), max(1, *degrees)), dtype=np.int64)
        for line, each in zip(table, factors, strict=True):
            line[: len(each)] = each
        row, weight, degree = (np.array(column, dtype=np.int64) for column in (rows, weights, degrees))
        return cls(np.array(coefficients, dtype=float), row, weight, degree, table)


def atom_products(features: torch.Tensor, weights: torch.Tensor, terms: Terms, rows: int) -> torch.Tensor:
    """The outcome of each atom, (n, rows, u); differentiable twice.

    Args:
        features: x, (n, i, u).
        weights: w, (n, k, u).
        terms: what is summed.
        rows: how many rows the outcome has.

    Raises:
        ModelError: if the shapes do not fit each other; the loops do not look.
    """
    atoms, components, channels = features.shape
    fits = (
        (weights.shape[0], weights.shape[2]) == (atoms, channels)
        and components > terms.factors.max()
        and weights.shape[1] > terms.weight.max()
        and rows > terms.row.max()
    )
    if not fits:
        shapes = [tuple(features.shape), tuple(weights.shape), rows]
        raise ModelError("products of features", shapes, "These shapes do not fit; please report it")
    return cast(torch.Tensor, _Products.apply(features, weights, terms, rows))


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Any, weights: Any, terms: Terms, rows: int) -> Any:
        ctx.save_for_backward(features, weights)
        ctx.terms = terms
        out = features.new_zeros(len(features), rows, features.shape[2])
        _products(*arrays(features, weights), *terms, out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, given: Any) -> Any:
        return (*_Slopes.apply(given, *ctx.saved_tensors, ctx.terms), None, None)


class _Slopes(torch.autograd.Function):
    """Derivatives of S by features and weights."""

    @staticmethod
    def forward(ctx: Any, given: Any, features: Any, weights: Any, terms: Terms) -> Any:
        ctx.save_for_backward(given, features, weights)
        ctx.terms = terms
        slopes = zeros_like(features, weights)
        _slopes(*arrays(given, features, weights), *terms, *(part.numpy() for part in slopes))
        return tuple(slopes)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_features: Any, by_weights: Any) -> Any:
        given, features, weights = ctx.saved_tensors
        slopes = zeros_like(given, features, weights)
        _curvatures(
            *arrays(given, features, weights, by_features, by_weights),
            *ctx.terms,
            *(part.numpy() for part in slopes),
        )
        return (*slopes, None)


@compiled
def _products(
    x: Array,
    w: Array,
    coefficient: Array,
    row: Array,
    weight: Array,
    degree: Array,
    factors: Array,
    out: Array,
) -> None:
    channels = x.shape[2]
    whole = np.empty(channels, x.dtype)
    for b in range(len(x)):
        x_b, w_b, out_b = x[b], w[b], out[b]
        for t in range(len(row)):
            o, k, c = row[t], weight[t], x.dtype.type(coefficient[t])
            for u in range(channels):
                whole[u] = c * w_b[k, u]
            for p in range(degree[t]):
                for u in range(channels):
                    whole[u] *= x_b[factors[t, p], u]
            for u in range(channels):
                out_b[o, u] += whole[u]


@compiled
def _slopes(
    g: Array,
    x: Array,
    w: Array,
    coefficient: Array,
    row: Array,
    weight: Array,
    degree: Array,
    factors: Array,
    dx: Array,
    dw: Array,
) -> None:
    channels = x.shape[2]
    given, part = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    for b in range(len(x)):
        g_b, x_b, w_b, dx_b, dw_b = g[b], x[b], w[b], dx[b], dw[b]
        for t in range(len(row)):
            o, k, c, d = row[t], weight[t], x.dtype.type(coefficient[t]), degree[t]
            for u in range(channels):
                given[u] = c * g_b[o, u]
                part[u] = given[u]
            for p in range(d):
                for u in range(channels):
                    part[u] *= x_b[factors[t, p], u]
            for u in range(channels):
                dw_b[k, u] += part[u]
            for p in range(d):
                for u in range(channels):
                    part[u] = given[u] * w_b[k, u]
                for q in range(d):
                    if q != p:
                        for u in range(channels):
                            part[u] *= x_b[factors[t, q], u]
                for u in range(channels):
                    dx_b[factors[t, p], u] += part[u]


@compiled
def _curvatures(
    g: Array,
    x: Array,
    w: Array,
    hx: Array,
    hw: Array,
    coefficient: Array,
    row: Array,
    weight: Array,
    degree: Array,
    factors: Array,
    dg: Array,
    dx: Array,
    dw: Array,
) -> None:
    channels = x.shape[2]
    whole, moved = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    for b in range(len(x)):
        g_b, x_b, w_b, hx_b, hw_b = g[b], x[b], w[b], hx[b], hw[b]
        dg_b, dx_b, dw_b = dg[b], dx[b], dw[b]
        for t in range(len(row)):
            o, k, c, d = row[t], weight[t], x.dtype.type(coefficient[t]), degree[t]
            # Without factor p, for each p; last, with p beyond them all, the whole product.
            for p in range(d + 1):
                for u in range(channels):
                    whole[u] = c
                    moved[u] = 0.0
                for q in range(d):
                    if q != p:
                        f = factors[t, q]
                        for u in range(channels):
                            moved[u] = moved[u] * x_b[f, u] + whole[u] * hx_b[f, u]
                            whole[u] *= x_b[f, u]
                if p < d:
                    f = factors[t, p]
                    for u in range(channels):
                        sway = hw_b[k, u] * whole[u] + w_b[k, u] * moved[u]
                        dx_b[f, u] += g_b[o, u] * sway
                else:
                    for u in range(channels):
                        dg_b[o, u] += hw_b[k, u] * whole[u] + w_b[k, u] * moved[u]
                        dw_b[k, u] += g_b[o, u] * moved[u]
