"""mace's convolution, arranged for the memory of a processor: the same sums, in half the time.

A convolution multiplies, for every edge and path (l1, l2 -> l), the sender's features by spherical
harmonics, Clebsch-Gordan coefficients and a learned weight, and adds up what each atom receives:

    m[n, u, k] = sum over edges e to n of w[e, u] * sum over i of M[e, k, i] x[sender(e), u, i],
    M[e, k, i] = sum over j of C[k, i, j] Y[e, j].

e3nn goes through its paths one by one, with the components (1, 3 or 5 numbers) innermost, and autograd
clears an array of all weights for each slice of it. Here the channels are innermost, before and after
(``linear.py``); the weights of an edge serve its reverse (``pairs.py``). On a processor one loop over the
edges does all (``edge_sums.py``); elsewhere one product serves all paths of an l1.
"""

from collections import defaultdict
from collections.abc import Callable
from itertools import accumulate, groupby
from typing import Any

import numpy as np
import torch

from defectscape.model.backend import o3
from defectscape.model.layers.compiled import one_loop_serves
from defectscape.model.layers.edge_sums import Rows, edge_sums

__all__ = ["ArrangedConvolution", "is_convolution"]


class ArrangedConvolution(torch.nn.Module):
    """Takes the place of ``conv_tp`` in an interaction of mace that has ``conv_fusion``.

    Args:
        plain: the layer whose sums it does; ``is_convolution`` says which can be arranged.
    """

    def __init__(self, plain: Any) -> None:
        super().__init__()
        # In a list, so that the network's state does not hold it.
        self._plain = [plain]
        self.channels = plain.irreps_in1[0].mul
        self.components = [irrep.dim for _, irrep in plain.irreps_in1]
        self.irreps = [irrep for _, irrep in plain.irreps_out]
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
        """What each row of the outcome takes: of every irrep and component, those of all its paths."""
        starts = [0, *accumulate(self.components)]
        found: dict[tuple[Any, int, int], tuple[int, int, int, int]] = {}
        offset = 0
        for place, paths in self.paths.items():
            for index, slot, width in paths:
                for component in range(width):
                    key = self.irreps[slot], component, slot
                    found[key] = index, starts[place], self.components[place], offset
                    offset += self.components[place]
        return Rows(*np.array([found[key] for key in sorted(found)], dtype=np.int64).T.copy())

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
        """What each atom receives, (n, places, channels), as ``ArrangedLinear`` takes it.

        Args:
            features: of atoms, rows, (n, components, channels).
            harmonics: of edges, (e, irreps_in2).
            weights: of edges and paths, (e, paths * channels).
            edge_index: (2, e), senders and receivers.
        """
        by_path = weights.unflatten(1, (-1, self.channels))
        if one_loop_serves(features):
            return edge_sums(harmonics @ self.table, features, by_path, edge_index, self.rows)
        received = self._by_products(features, harmonics, by_path, edge_index)
        kinds = groupby(sorted(received), key=lambda slot: self.irreps[slot])
        # Of each irrep (n, components, paths, channels).
        parts = [torch.stack([received[slot] for slot in slots], 2) for _, slots in kinds]
        return torch.cat([part.flatten(1, 2) for part in parts], 1)

    def to_mace(self, rows: torch.Tensor) -> torch.Tensor:
        """What ``forward`` gives, in mace's order, (n, irreps_out)."""
        counts = [len(list(group)) for _, group in groupby(self.irreps)]
        kinds = [(irrep.dim, paths) for (irrep, _), paths in zip(groupby(self.irreps), counts, strict=True)]
        parts = rows.split([width * paths for width, paths in kinds], 1)
        flat = [part.unflatten(1, kind).permute(0, 2, 3, 1).flatten(1) for part, kind in zip(parts, kinds, strict=True)]
        return torch.cat(flat, 1)

    def _by_products(
        self,
        features: torch.Tensor,
        harmonics: torch.Tensor,
        weights: torch.Tensor,
        edge_index: torch.Tensor,
    ) -> dict[int, torch.Tensor]:
        """Of each path by torch's own products, which run on any device, (n, components, channels)."""
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


def is_convolution(layer: Any) -> bool:
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
