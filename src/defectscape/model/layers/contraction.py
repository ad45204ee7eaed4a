"""mace's symmetric contraction on a processor: the few products that are not zero, in one loop over atoms.

A contraction multiplies up to ``correlation`` features of an atom with generalised Clebsch-Gordan
coefficients U and learned weights. U is almost empty and symmetric in the features it multiplies: mace's
dense sums over 9 x 9 x ... components are polynomials of some ten terms (``atom_products.py``).
"""

from collections import defaultdict
from typing import Any

import numpy as np
import torch

from defectscape.model.backend import SymmetricContraction, to_numpy
from defectscape.model.layers.atom_products import Terms, atom_products
from defectscape.model.layers.compiled import one_loop_serves
from defectscape.model.layers.linear import to_rows

__all__ = ["ArrangedContraction", "is_contraction"]

_ROUNDING = 10.0
"""Coefficients below that many units of the last place of the largest are rounding of the tables."""


def is_contraction(layer: Any) -> bool:
    """Whether a layer is the one whose sums are done here."""
    return isinstance(layer, SymmetricContraction)


class ArrangedContraction(torch.nn.Module):
    """Takes the place of ``symmetric_contractions`` in a product of mace.

    Args:
        plain: the layer whose sums it does; it keeps the weights.
    """

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.plain = plain
        self.width = sum(irrep.dim for _, irrep in plain.irreps_out)
        self.terms = _terms(plain.contractions)

    def forward(self, features: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
        """The outcome, rows, (n, components, channels).

        Args:
            features: of atoms, (n, channels, components).
            kinds: one-hot elements, (n, elements).
        """
        if not one_loop_serves(features):
            return to_rows(self.plain(features, kinds), self.plain.irreps_out)
        table = torch.cat([part for each in self.plain.contractions for part in _weights(each)], 1)
        weights = (kinds @ table.flatten(1)).unflatten(1, table.shape[1:])
        return atom_products(features.transpose(1, 2), weights, self.terms, self.width)


def _weights(contraction: Any) -> list[torch.Tensor]:
    """Learned weights, (elements, k, u) of each correlation, from the highest to 1."""
    return [contraction.weights_max, *contraction.weights]


def _terms(contractions: Any) -> Terms:
    """Every product that is not zero, of all irreps of the outcome; equal ones are one."""
    sums: dict[tuple[int, int, tuple[int, ...]], float] = defaultdict(float)
    row = weight = 0
    for each in contractions:
        largest = each.correlation
        for place, part in enumerate(_weights(each)):
            degree = largest - place
            dense = to_numpy(each.U_tensors(degree))
            # An invariant outcome has no axis of its own.
            dense = dense.reshape(-1, *dense.shape[dense.ndim - degree - 1 :])
            least = _ROUNDING * np.finfo(dense.dtype).eps * np.abs(dense).max()
            for index in np.argwhere(np.abs(dense) > least).tolist():
                out, *factors, column = index
                sums[row + out, weight + column, tuple(sorted(factors))] += float(dense[tuple(index)])
            weight += part.shape[1]
        row += len(dense)
    return Terms.of([(sums[key], *key) for key in sorted(sums)])
