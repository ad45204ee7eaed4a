"""Spherical harmonics of edges on a processor: polynomials of the direction, each term in one pass over the edges.

Every component is a sum of products of x, y and z of the unit vector. Which ones, and in what normalisation,
is fitted to e3nn's own function, once, in double precision: it is such a polynomial, so the fit is exact.
"""

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any, cast

import numpy as np
import torch

from defectscape.model.backend import o3, to_numpy
from defectscape.model.layers.atom_products import Terms, atom_products
from defectscape.model.layers.compiled import one_loop_serves

__all__ = ["ArrangedHarmonics", "is_harmonics"]

_EXACT = 1e-9


def is_harmonics(layer: Any) -> bool:
    """Whether a layer is e3nn's harmonics of directions, whatever the length of the vectors."""
    return isinstance(layer, o3.SphericalHarmonics) and bool(layer.normalize)


class ArrangedHarmonics(torch.nn.Module):
    """Takes the place of ``spherical_harmonics`` in a network of mace.

    Args:
        plain: the layer that it computes.
    """

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.plain = plain
        self.width = plain.irreps_out.dim
        self.terms = _terms([irrep.l for _, irrep in plain.irreps_out], plain.normalization)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Harmonics (e, irreps_out) of vectors (e, 3), in e3nn's order."""
        if not one_loop_serves(vectors):
            return cast(torch.Tensor, self.plain(vectors))
        # One "atom" whose channels are the edges.
        directions = torch.nn.functional.normalize(vectors, dim=1).T.unsqueeze(0)
        ones = directions.new_ones(1, 1, len(vectors))
        return atom_products(directions, ones, self.terms, self.width)[0].T


def _terms(degrees: Sequence[int], normalization: str) -> Terms:
    """The polynomials of all components."""
    points = np.random.default_rng(0).normal(size=(200, 3))
    terms = []
    row = 0
    for degree in degrees:
        values = to_numpy(o3.spherical_harmonics(degree, torch.tensor(points), False, normalization))
        products = list(combinations_with_replacement(range(3), degree))
        columns = np.stack([points[:, list(axes)].prod(axis=1) for axes in products], 1)
        fitted = np.linalg.lstsq(columns, values, rcond=None)[0]
        for place, component in np.argwhere(np.abs(fitted) > _EXACT):
            terms.append((fitted[place, component], row + component, 0, products[place]))
        row += values.shape[1]
    return Terms.of(terms)
