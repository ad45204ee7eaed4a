"""e3nn's linear layer with the channels innermost: one product for each irrep, nothing put in another order.

Rows are features as (n, components, channels). mace keeps (n, irreps), for each irrep channels times
components; these differ for all but scalars, and e3nn's layers go from one to the other and back.
"""

from itertools import groupby
from typing import Any

import torch

from defectscape.model.backend import o3

__all__ = ["ArrangedLinear", "is_linear", "to_mace", "to_rows"]


def to_rows(features: torch.Tensor, irreps: Any) -> torch.Tensor:
    """Features of mace, (n, irreps), all irreps with as many channels, as rows, (n, components, channels)."""
    if irreps.lmax == 0 and len(irreps) == 1:
        return features.unsqueeze(1)
    parts = features.split([mul * irrep.dim for mul, irrep in irreps], 1)
    shaped = [
        part.unflatten(1, (mul, irrep.dim)).transpose(1, 2) for part, (mul, irrep) in zip(parts, irreps, strict=True)
    ]
    return torch.cat(shaped, 1)


def to_mace(rows: torch.Tensor, irreps: Any) -> torch.Tensor:
    """The way back."""
    if irreps.lmax == 0 and len(irreps) == 1:
        return rows.squeeze(1)
    parts = rows.split([irrep.dim for _, irrep in irreps], 1)
    return torch.cat([part.transpose(1, 2).flatten(1) for part in parts], 1)


def is_linear(layer: Any) -> bool:
    """Whether a layer can be arranged: all irreps of one width on either side, those of a kind together, no bias."""
    if not isinstance(layer, o3.Linear) or not layer.internal_weights or layer.bias_numel:
        return False
    kinds = [irrep for irrep, _ in groupby(irrep for _, irrep in layer.irreps_in)]
    return (
        len({mul for mul, _ in layer.irreps_in}) == 1
        and len({mul for mul, _ in layer.irreps_out}) == 1
        and kinds == [irrep for _, irrep in layer.irreps_out]
        and len(layer.instructions) == len(layer.irreps_in)
    )


class ArrangedLinear(torch.nn.Module):
    """Takes the place of a linear layer of mace, for rows.

    Args:
        plain: the layer that it computes; it keeps the weights.
    """

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.plain = plain
        self.irreps_in, self.irreps_out = plain.irreps_in, plain.irreps_out
        counts = [len(list(group)) for _, group in groupby(ir for _, ir in plain.irreps_in)]
        self.taken = [count * plain.irreps_in[0].mul for count in counts]
        self.sizes = [width * plain.irreps_out[0].mul for width in self.taken]
        self.components = [irrep.dim for _, irrep in plain.irreps_out]
        self.places = [n * dim for n, dim in zip(counts, self.components, strict=True)]
        weights = [ins.path_weight for ins in plain.instructions]
        shares = torch.tensor(weights).repeat_interleave(plain.weight_numel // len(weights))
        self.shares: torch.Tensor
        self.register_buffer("shares", shares.to(plain.weight), persistent=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (n, components, channels).

        Args:
            rows: (n, places, channels in); for every irrep of the outcome and each of its components, those
                of all paths that lead to it, one after the other.
        """
        weights = (self.plain.weight * self.shares).split(self.sizes)
        out = [
            part.reshape(-1, width) @ weight.view(width, -1)
            for part, weight, width in zip(rows.split(self.places, 1), weights, self.taken, strict=True)
        ]
        shaped = [
            part.view(-1, components, part.shape[1]) for part, components in zip(out, self.components, strict=True)
        ]
        return torch.cat(shaped, 1) if len(shaped) > 1 else shaped[0]
