"""The basis of products: which symmetric tensors mace's symmetric contraction multiplies features with.

A contraction of degree n sums weights times tensors U over products of n features of one atom (Batatia et al., MACE,
NeurIPS 2022, eq. 10). Only the part of U that is symmetric in the features counts. mace's ``full`` basis has one tensor
for each path of couplings; many of them have the same symmetric part, or none. A ``reduced`` basis has as many as are
linearly independent: fewer weights and products for the same functions.

mace makes its reduced basis with cuequivariance, and takes the full one in silence where cuequivariance cannot be
imported: one setting, two networks. So the basis is made here, from mace's full tensors, whatever is installed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations_with_replacement, permutations
from math import factorial, prod
from typing import Any

import numpy as np
import torch

from defectscape.model.backend import symmetric_contraction
from defectscape.model.card import ProductBasis

_TENSORS = ".U_matrix_"
"""In the name of each buffer of a contraction that holds tensors."""

_INDEPENDENT = 1e-6
"""A tensor is new if what is orthogonal to those before it is longer than this; mace's have lengths of order one."""

_module: Any = symmetric_contraction


@contextmanager
def built_with(basis: ProductBasis) -> Iterator[None]:
    """Networks of mace that are built inside have this basis, with ``use_reduced_cg=False``."""
    theirs = _module.U_matrix_real

    def tensors(*, correlation: int, dtype: torch.dtype, **kwargs: Any) -> list[Any]:
        """As mace's, which gives the irrep and the tensors last."""
        *irrep, full = theirs(correlation=correlation, dtype=torch.float64, **kwargs)
        return [*irrep, reduced(full, correlation).to(dtype)]

    if basis == "reduced":
        _module.U_matrix_real = tensors
    try:
        yield
    finally:
        _module.U_matrix_real = theirs


def same_shapes(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> bool:
    """Whether the tensors of a state (by name) have the shapes of those of a network."""
    own = network.state_dict()
    return all(state[name].shape == own[name].shape for name in own if _TENSORS in name)


def copy_tensors(state: Mapping[str, torch.Tensor], network: torch.nn.Module) -> None:
    """Put the tensors of a state into a network of the same shapes, to which weights of the state belong then.

    Two reduced bases span the same functions with different tensors, if they were not made here both.
    """
    for name, buffer in network.named_buffers():
        if _TENSORS in name:
            buffer.copy_(state[name])


def reduced(full: torch.Tensor, degree: int) -> torch.Tensor:
    """Symmetric, orthogonal tensors that span the symmetric parts of the given ones.

    Args:
        full: tensors, (components of the outcome, i, ..., i, tensors) with ``degree`` axes of features; an
            invariant outcome has no axis of its own.
        degree: how many features are multiplied.

    Returns:
        The tensors in the same form, each of mace's ``component`` length: one per component of the outcome. A
        single zero where no part is symmetric, as mace has it.
    """
    shape = full.shape[:-1]
    width = shape[-1]
    dense = full.numpy().reshape(-1, *[width] * degree, full.shape[-1])
    # Entries of a symmetric tensor by their sorted indices, and how often each of them stands in it.
    sorted_indices = np.array(list(combinations_with_replacement(range(width), degree))).T
    orders = [sorted_indices[list(order)] for order in permutations(range(degree))]
    symmetric = sum(dense[:, *order] for order in orders) / len(orders)
    often = _multiplicities(sorted_indices, width)
    scaled = symmetric * np.sqrt(often)[:, None]
    columns = _orthonormal(scaled.reshape(-1, dense.shape[-1])) * np.sqrt(len(dense))
    entries = columns.reshape(len(dense), len(often), -1) / np.sqrt(often)[:, None]
    found = np.zeros((*dense.shape[:-1], entries.shape[-1]))
    for order in orders:
        found[:, *order] = entries
    return torch.from_numpy(found.reshape(*shape, -1))


def _multiplicities(sorted_indices: np.ndarray, width: int) -> np.ndarray:
    """Distinct permutations of each column of indices (degree, m): (m,)."""
    counts = (sorted_indices[:, :, None] == np.arange(width)).sum(axis=0)
    same = [prod(map(factorial, row)) for row in counts.tolist()]
    return factorial(len(sorted_indices)) / np.array(same)


def _orthonormal(vectors: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span the given ones, (n, m), taken in their order; one zero if all are zero."""
    found = np.zeros((len(vectors), 0))
    for vector in vectors.T:
        left = vector
        for _ in range(2):  # the second pass takes off what rounding left in the first
            left = left - found @ (found.T @ left)
        length = np.linalg.norm(left)
        if length > _INDEPENDENT:
            found = np.column_stack([found, left / length])
    return found if found.shape[1] else np.zeros((len(vectors), 1))
