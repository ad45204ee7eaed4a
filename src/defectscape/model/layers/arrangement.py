"""mace's layers, arranged for speed while a network trains or searches; files hold the plain ones.

Between its layers an interaction of mace, and the product that follows it, have their features as rows:
channels innermost (``linear.py``). Outside of them all is as mace has it. Interactions of kinds that put
steps of their own between the layers get the arranged convolution alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from defectscape.model.backend import mace_modules
from defectscape.model.layers.contraction import ArrangedContraction, is_contraction
from defectscape.model.layers.convolution import ArrangedConvolution, is_convolution
from defectscape.model.layers.harmonics import ArrangedHarmonics, is_harmonics
from defectscape.model.layers.linear import ArrangedLinear, is_linear, to_mace, to_rows
from defectscape.model.layers.pairs import share_weights, stop_sharing
from defectscape.model.layers.radial import ArrangedRadial, is_radial

__all__ = ["arrange", "as_mace_has_it", "is_arranged", "restore"]


class _FromMace(ArrangedLinear):
    """The first layer of an interaction: mace's order in, rows out."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(to_rows(features, self.irreps_in))


class _ToMace(ArrangedLinear):
    """The last layer of a product: rows in, mace's order out."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return to_mace(super().forward(rows), self.irreps_out)


class _Turned(torch.nn.Module):
    """An interaction's last step: rows in, (n, channels, components) out, in the same memory."""

    def __init__(self, plain: torch.nn.Module) -> None:
        super().__init__()
        self.plain = plain

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.transpose(1, 2)


class _InMacesOrder(ArrangedConvolution):
    """Between layers of mace."""

    def forward(self, features: torch.Tensor, *edges: torch.Tensor) -> torch.Tensor:
        return self.to_mace(super().forward(to_rows(features, self.plain.irreps_in1), *edges))


_KNOWN = mace_modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
"""The kind whose steps between its layers are those of rows too; it is the one that is built here."""

_INTERACTION = {
    "linear_up": (is_linear, _FromMace),
    "conv_tp": (is_convolution, ArrangedConvolution),
    "linear": (is_linear, ArrangedLinear),
    "reshape": (lambda _: True, _Turned),
}
_CONVOLUTION = {"conv_tp": (is_convolution, _InMacesOrder)}
_OTHERS = (
    {"conv_tp_weights": (is_radial, ArrangedRadial)},
    {
        "symmetric_contractions": (is_contraction, ArrangedContraction),
        "linear": (is_linear, _ToMace),
    },
    {"spherical_harmonics": (is_harmonics, ArrangedHarmonics)},
)
"""Layers that are replaced together or not at all: by name, which ones can be, and what takes their place."""

_ARRANGED = (
    ArrangedLinear,
    ArrangedConvolution,
    _Turned,
    ArrangedRadial,
    ArrangedContraction,
    ArrangedHarmonics,
)


def arrange(network: torch.nn.Module) -> None:
    """Rearrange the layers of a network in place, those that can be; to be undone by ``restore``."""
    block: Any
    for block in list(network.modules()):
        for layers in (_INTERACTION if type(block) is _KNOWN else _CONVOLUTION, *_OTHERS):
            if all(hasattr(block, name) and fits(getattr(block, name)) for name, (fits, _) in layers.items()):
                # Tables of a layer follow the network's device and dtype, whatever the default is.
                like = next(block.parameters())
                for name, (_, arranged) in layers.items():
                    setattr(block, name, arranged(getattr(block, name)).to(like))
        if isinstance(getattr(block, "conv_tp", None), ArrangedConvolution):
            block.conv_fusion = True
            share_weights(block)


def restore(network: torch.nn.Module) -> None:
    """Put mace's own layers back, in place."""
    block: Any
    for block in list(network.modules()):
        if isinstance(getattr(block, "conv_tp", None), ArrangedConvolution):
            stop_sharing(block)
            del block.conv_fusion
        for name, layer in list(block.named_children()):
            if isinstance(layer, _ARRANGED):
                setattr(block, name, layer.plain)


def is_arranged(network: torch.nn.Module) -> bool:
    """Whether ``arrange`` found something to do."""
    return any(isinstance(layer, _ARRANGED) for layer in network.modules())


@contextmanager
def as_mace_has_it(network: torch.nn.Module) -> Iterator[None]:
    """mace's own layers for a while; a network that was arranged is so again on leaving."""
    arranged = is_arranged(network)
    restore(network)
    try:
        yield
    finally:
        if arranged:
            arrange(network)
