"""Every edge comes with its reverse: radial weights of one serve both.

A neighbour list has each pair of atoms twice, there and back, at one distance. The weights of a
convolution depend on that distance alone, and the small network that makes them is the largest single
cost of a training step. So graphs keep their edges in two halves, the second one the reverses of the
first in the same order, and that network sees the first half only. Whether a batch is so is looked at,
not assumed: one that is not takes mace's own way.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch

from defectscape.domain.frame import Ints
from defectscape.model.layers.compiled import one_loop_serves

__all__ = ["all_halves", "paired_order", "share_weights", "stop_sharing"]

_HANDLES = "sharing_handles"
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5
"""Rounding between both ways; another edge between the same atoms is one cell away."""


def paired_order(edge_index: Ints, unit_shifts: Ints) -> Ints | None:
    """Order that puts edges into the first half and their reverses, alike, into the second.

    Args:
        edge_index: senders and receivers, (2, e).
        unit_shifts: cells between them, (e, 3).

    Returns:
        Indices (e,), or None if some edge has no reverse.
    """
    there = np.column_stack([edge_index[0], edge_index[1], unit_shifts]).astype(np.int64)
    back = np.column_stack([edge_index[1], edge_index[0], -unit_shifts]).astype(np.int64)
    differs = there != back
    column = differs.argmax(axis=1)
    rows = np.arange(len(there))
    first = there[rows, column] < back[rows, column]
    ahead, behind = np.flatnonzero(first), np.flatnonzero(~first)
    if len(ahead) != len(behind):
        return None
    ahead = ahead[np.lexsort(there[ahead].T)]
    behind = behind[np.lexsort(back[behind].T)]
    if not np.array_equal(there[ahead], back[behind]):
        return None
    return np.concatenate([ahead, behind])


def all_halves(counts: Sequence[int]) -> torch.Tensor:
    """Order of a batch's edges, given those of each graph: all first halves, then all second ones."""
    starts = [0, *accumulate(counts)][:-1]
    spans = list(zip(starts, counts, strict=True))
    first = [torch.arange(start, start + count // 2) for start, count in spans]
    second = [torch.arange(start + count // 2, start + count) for start, count in spans]
    return torch.cat([*first, *second])


def share_weights(block: Any) -> None:
    """Let an interaction of mace compute the weights of paired edges once; ``stop_sharing`` undoes it."""
    if hasattr(block, _HANDLES):
        return
    weights = block.conv_tp_weights
    weights.paired = False
    handles = [
        block.register_forward_pre_hook(_look, with_kwargs=True),
        weights.register_forward_pre_hook(_first_half),
        weights.register_forward_hook(_both_halves),
    ]
    setattr(block, _HANDLES, handles)


def stop_sharing(block: Any) -> None:
    """Leave an interaction as mace has it."""
    if hasattr(block, _HANDLES):
        for handle in getattr(block, _HANDLES):
            handle.remove()
        delattr(block, _HANDLES)
        del block.conv_tp_weights.paired


def _look(block: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> None:
    names = ("node_attrs", "node_feats", "edge_attrs", "edge_feats", "edge_index")
    given = {**dict(zip(names, args, strict=False)), **inputs}
    # Where mace multiplies the weights by a cutoff of every edge, they must be those of every edge.
    block.conv_tp_weights.paired = given.get("cutoff") is None and _are_halves(
        given["edge_index"], given["edge_attrs"].detach(), given["edge_feats"].detach()
    )


def _are_halves(edges: torch.Tensor, harmonics: torch.Tensor, radial: torch.Tensor) -> bool:
    """Whether the second half of the edges goes the other way between the same atoms, equally far."""
    half, odd = divmod(edges.shape[1], 2)
    if odd or not half or harmonics.shape[1] < 4:
        return False
    direction = harmonics[:, 1:4]
    return (
        torch.equal(edges[:, :half], edges[:, half:].flip(0))
        and torch.allclose(direction[:half], -direction[half:], _RELATIVE, _ABSOLUTE)
        and torch.allclose(radial[:half], radial[half:], _RELATIVE, _ABSOLUTE)
    )


def _first_half(weights: Any, args: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
    return (args[0][: len(args[0]) // 2],) if weights.paired else None


def _both_halves(weights: Any, args: tuple[torch.Tensor], out: torch.Tensor) -> torch.Tensor | None:
    """Written out where torch multiplies them; the loop over edges reads one half twice."""
    return torch.cat([out, out]) if weights.paired and not one_loop_serves(out) else None
