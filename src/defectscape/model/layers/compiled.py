"""Loops over torch's memory, compiled for the processor at hand by numba, once, into its cache."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch

__all__ = ["Array", "arrays", "compiled", "one_loop_serves", "zeros_like"]

Array = np.ndarray

FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
"""Sums may be taken in any order; what is not a number stays so, for the loss is checked for it."""


def compiled(function: Callable) -> Any:
    """Compiled at its first call, and kept where the package or the user's cache can be written."""
    options: dict[str, Any] = {"fastmath": FASTMATH, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither can
        return numba.njit(**options)(function)


def one_loop_serves(tensor: torch.Tensor) -> bool:
    """Whether it lies where the loops run: in a processor's memory."""
    return tensor.device.type == "cpu"


def zeros_like(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """As large, row by row."""
    return [torch.zeros_like(part, memory_format=torch.contiguous_format) for part in tensors]


def arrays(*tensors: torch.Tensor) -> list[Array]:
    """The tensors' memory, row by row."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]
