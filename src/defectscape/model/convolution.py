"""mace's convolution, arranged for the memory of a processor: the same sums, in half the time.

A convolution multiplies, for every edge and path (l1, l2 -> l), the sender's features by spherical
harmonics, Clebsch-Gordan coefficients and a learned weight, and adds up what each atom receives:

    m[n, u, k] = sum over edges e to n of w[e, u] * sum over i of M[e, k, i] x[sender(e), u, i],
    M[e, k, i] = sum over j of C[k, i, j] Y[e, j].

e3nn goes through its paths one by one, with the components (1, 3 or 5 numbers) innermost, and autograd
clears an array of all weights for each slice of it. Here the channels are innermost, and atoms, not edges,
are put back into mace's order; the weights of an edge serve its reverse (``pairs.py``). On a processor one loop
over the edges does all (``edge_sums.py``); elsewhere one product serves all paths of an l1. The plain
layer comes back with ``restore``; files hold that one.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import numpy as np
import torch

from defectscape.model.backend import o3
from defectscape.model.edge_sums import Rows, edge_sums, one_loop_serves
from defectscape.model.pairs import share_weights, stop_sharing

__all__ = ["ArrangedConvolution", "arrange", "as_mace_has_it", "restore"]


class ArrangedConvolution(torch.nn.Module):
    """Takes the place of ``conv_tp`` in an interaction of mace that has ``conv_fusion``.

    Args:
        plain: the layer whose sums it does; ``fits`` says which can be arranged.
    """

    def __init__(self, plain: Any) -> None:
        super().__init__()
        # In a list, so that the network's state does not hold it.
        self._plain = [plain]
        self.channels = plain.irreps_in1[0].mul
        self.components = [irrep.dim for _, irrep in plain.irreps_in1]
        self.paths: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        tables: dict[int, list[torch.Tensor]] = defaultdict(list)
        places = plain.irreps_in2.slices()
        for index, path in enumerate(plain.instructions):
            left, right = plain.irreps_in1[path.i_in1].ir, plain.irreps_in2[path.i_in2].ir
            out = plain.irreps_out[path.i_out].ir
            table = torch.zeros(plain.irreps_in2.dim, out.dim, left.dim)
            coefficients = o3.wigner_3j(left.l, right.l, out.l).to(table)
            table[places[path.i_in2]] = path.path_weight * coefficients.permute(1, 2, 0)
            self.paths[path.i_in1].append((index, path.i_out, out.dim))
            tables[path.i_in1].append(table)
        flat = {place: torch.cat(parts, 1).flatten(1) for place, parts in tables.items()}
        self.widths = [table.shape[1] for table in flat.values()]
        self.table: torch.Tensor
        self.register_buffer("table", torch.cat(list(flat.values()), 1), persistent=False)
        self.rows = self._rows()

    def _rows(self) -> Rows:
        """Every component of every path's outcome, in the order of the tables."""
        starts = [0, *accumulate(self.components)]
        rows: list[tuple[int, int, int, int]] = []
        offset = 0
        for place, paths in self.paths.items():
            for index, _, width in paths:
                for _ in range(width):
                    rows.append((index, starts[place], self.components[place], offset))
                    offset += self.components[place]
        return Rows(*np.array(rows, dtype=np.int64).T.copy())

    def _apply(self, fn: Callable, recurse: bool = True) -> "ArrangedConvolution":
        """Moves and changes of dtype reach the plain layer, which no module's list holds."""
        self._plain[0]._apply(fn, recurse)
        super()._apply(fn, recurse)
        return self

    @property
    def plain(self) -> torch.nn.Module:
        """mace's own layer."""
        return self._plain[0]

    def forward(
        self,
        features: torch.Tensor,
        harmonics: torch.Tensor,
        weights: torch.Tensor,
        edge_index: torch.Tensor,
    ) -> torch.Tensor:
        """What each atom receives, (n, irreps_out), in mace's order.

        Args:
            features: of atoms, (n, irreps_in1).
            harmonics: of edges, (e, irreps_in2).
            weights: of edges and paths, (e, paths * channels).
            edge_index: (2, e), senders and receivers.
        """
        parts = features.split([self.channels * width for width in self.components], 1)
        shaped = [
            part.reshape(len(features), self.channels, width).transpose(1, 2)
            for part, width in zip(parts, self.components, strict=True)
        ]
        by_path = weights.unflatten(1, (-1, self.channels))
        sums = self._in_one_loop if one_loop_serves(features) else self._by_products
        received = sums(torch.cat(shaped, 1), harmonics, by_path, edge_index)
        flat = {slot: part.transpose(1, 2).flatten(1) for slot, part in received.items()}
        return torch.cat([flat[slot] for slot in sorted(flat)], 1)

    def _in_one_loop(
        self,
        features: torch.Tensor,
        harmonics: torch.Tensor,
        weights: torch.Tensor,
        edge_index: torch.Tensor,
    ) -> dict[int, torch.Tensor]:
        """What each atom receives, (n, width, channels) for each irrep of the outcome."""
        total = edge_sums(harmonics @ self.table, features, weights, edge_index, self.rows)
        slots = [(slot, width) for paths in self.paths.values() for _, slot, width in paths]
        pieces = total.split([width for _, width in slots], 1)
        return {slot: piece for (slot, _), piece in zip(slots, pieces, strict=True)}

    def _by_products(
        self,
        features: torch.Tensor,
        harmonics: torch.Tensor,
        weights: torch.Tensor,
        edge_index: torch.Tensor,
    ) -> dict[int, torch.Tensor]:
        """The same by torch's own products, which run on any device."""
        sender, receiver = edge_index
        atoms = len(features)
        sent = features.index_select(0, sender).split(self.components, 1)
        weight = weights.split(1, 1)
        received: dict[int, torch.Tensor] = {}
        matrices = (harmonics @ self.table).split(self.widths, 1)
        for (place, paths), part in zip(self.paths.items(), matrices, strict=True):
            matrix = part.unflatten(1, (-1, self.components[place]))
            one = self.components[place] == 1
            product = matrix * sent[place] if one else torch.bmm(matrix, sent[place])
            pieces = product.split([width for _, _, width in paths], 1)
            for (index, slot, width), piece in zip(paths, pieces, strict=True):
                empty = piece.new_zeros(atoms, width, self.channels)
                received[slot] = empty.index_add(0, receiver, piece * weight[index])
        return received


def fits(layer: Any) -> bool:
    """Whether a layer is of the kind that ``ArrangedConvolution`` does: one weight per channel and path."""
    if not isinstance(layer, o3.TensorProduct) or layer.internal_weights or layer.shared_weights:
        return False
    channels = {mul for mul, _ in layer.irreps_in1}
    paths = layer.instructions
    return (
        len(channels) == 1
        and all(mul == 1 for mul, _ in layer.irreps_in2)
        and sorted(path.i_out for path in paths) == list(range(len(layer.irreps_out)))
        and all(path.connection_mode == "uvu" and path.has_weight for path in paths)
    )


def arrange(network: torch.nn.Module) -> None:
    """Rearrange the convolutions of a network in place, those that can be; to be undone by ``restore``."""
    for block in _interactions(network):
        if not hasattr(block, "conv_fusion") and fits(block.conv_tp):
            arranged = ArrangedConvolution(block.conv_tp)
            # The layer's tables follow the network's device and dtype, whatever the default is.
            block.conv_tp = arranged.to(next(block.parameters()))
            block.conv_fusion = True
            share_weights(block)


def restore(network: torch.nn.Module) -> None:
    """Put mace's own convolutions back, in place."""
    for block in _interactions(network):
        if isinstance(block.conv_tp, ArrangedConvolution):
            block.conv_tp = block.conv_tp.plain
            del block.conv_fusion
            stop_sharing(block)


@contextmanager
def as_mace_has_it(network: torch.nn.Module) -> Iterator[None]:
    """mace's own convolutions for a while; a network that was arranged is so again on leaving."""
    arranged = any(isinstance(b.conv_tp, ArrangedConvolution) for b in _interactions(network))
    restore(network)
    try:
        yield
    finally:
        if arranged:
            arrange(network)


def _interactions(network: torch.nn.Module) -> list[Any]:
    """Blocks with a convolution, of all networks within."""
    return [module for module in network.modules() if hasattr(module, "conv_tp")]
