"""The network of radial weights on a processor: one product and one pass over its outcome for each layer.

mace's layers are x -> c silu(x w / sqrt(width)). Constant factors are taken to the weights here, which are
far fewer than edges; and silu's slope and curvature, which a training on forces needs, are one pass each
where autograd composes them of some ten. With s = sigmoid(z):

    silu = z s,  silu' = s (1 + z (1 - s)),  silu'' = s (1 - s) (2 + z (1 - 2 s)).
"""

from typing import Any, cast

import torch

from defectscape.model.backend import FullyConnectedNet
from defectscape.model.layers.compiled import Array, arrays, compiled, one_loop_serves

__all__ = ["ArrangedRadial", "is_radial", "silu"]


def is_radial(layer: Any) -> bool:
    """Whether a layer is a network whose layers are all as above, the last one without silu."""
    if not isinstance(layer, FullyConnectedNet):
        return False
    *hidden, last = layer.children()
    acts = [getattr(each.act, "f", None) for each in hidden]
    return last.act is None and all(act is torch.nn.functional.silu for act in acts)


class ArrangedRadial(torch.nn.Module):
    """Takes the place of ``conv_tp_weights`` in an interaction of mace.

    Args:
        plain: the network that it computes; it keeps the weights.
    """

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.plain = plain
        self.factors: list[float] = []
        before = 1.0
        for layer in plain.children():
            variance = layer.h_in * layer.var_in / (1.0 if layer.act else layer.var_out)
            self.factors.append(before / variance**0.5)
            if layer.act:
                before = layer.var_out**0.5 * (1.0 if layer.act._is_id else layer.act.cst)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Weights of edges, (e, paths * channels), of their radial functions, (e, functions)."""
        if not one_loop_serves(values):
            return cast(torch.Tensor, self.plain(values))
        layers = list(self.plain.children())
        for layer, factor in zip(layers, self.factors, strict=True):
            values = values @ (layer.weight * factor)
            if layer is not layers[-1]:
                values = silu(values)
        return values


def silu(values: torch.Tensor) -> torch.Tensor:
    """z sigmoid(z) of each value; differentiable twice; on a processor."""
    return cast(torch.Tensor, _Silu.apply(values))


class _Silu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Any) -> Any:
        sigmoid = torch.sigmoid(values)
        ctx.save_for_backward(values, sigmoid)
        return values * sigmoid

    @staticmethod
    def backward(ctx: Any, given: Any) -> Any:
        return _Slope.apply(given, *ctx.saved_tensors)


class _Slope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Any, values: Any, sigmoid: Any) -> Any:
        ctx.save_for_backward(given, values, sigmoid)
        out = torch.empty_like(values, memory_format=torch.contiguous_format)
        _slope(*_flat(given, values, sigmoid), out.view(-1).numpy())
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, moved: Any) -> Any:
        saved = ctx.saved_tensors
        out = [torch.empty_like(moved, memory_format=torch.contiguous_format) for _ in range(2)]
        _curvature(*_flat(moved, *saved), *(part.view(-1).numpy() for part in out))
        # The sigmoid is a function of the values, which have its part.
        return (*out, None)


def _flat(*tensors: torch.Tensor) -> list[Array]:
    return [array.reshape(-1) for array in arrays(*tensors)]


@compiled
def _slope(given: Array, values: Array, sigmoid: Array, out: Array) -> None:
    one = given.dtype.type(1.0)
    for n in range(len(given)):
        s = sigmoid[n]
        out[n] = given[n] * s * (one + values[n] * (one - s))


@compiled
def _curvature(moved: Array, given: Array, values: Array, sigmoid: Array, by_given: Array, by_values: Array) -> None:
    one, two = given.dtype.type(1.0), given.dtype.type(2.0)
    for n in range(len(given)):
        s, z = sigmoid[n], values[n]
        by_given[n] = moved[n] * s * (one + z * (one - s))
        by_values[n] = moved[n] * given[n] * s * (one - s) * (two + z * (one - two * s))
