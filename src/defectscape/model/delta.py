"""The delta model: a low-fidelity network plus a network of what the high fidelity adds to it."""

from typing import Any, cast

import torch

from defectscape.domain.errors import ModelError
from defectscape.model.card import ModelCard
from defectscape.model.network import ChargedMACE
from defectscape.model.references import EnergyReferences, add_references

_SUMMED = (
    "interaction_energy",
    "energy",
    "node_energy",
    "forces",
    "virials",
    "stress",
    "hessian",
    "edge_forces",
    "atomic_virials",
    "atomic_stresses",
)
_PER_GRAPH = ("interaction_energy", "energy", "virials", "stress")
_PER_ATOM = ("node_energy", "forces", "atomic_virials", "atomic_stresses")


class DeltaMACE(torch.nn.Module):
    """Two networks that answer as one model of two heads: low, and low plus correction.

    Args:
        low: trained on low-fidelity labels.
        correction: trained on the differences between the fidelities, named after the high one.
        card: of the whole.
    """

    def __init__(self, low: ChargedMACE, correction: ChargedMACE, card: ModelCard) -> None:
        super().__init__()
        self.low, self.correction, self.card = low, correction, card
        self.heads = list(card.fidelities)
        block = cast(Any, low.atomic_energies_fn)
        references = torch.tensor(self.references.element_eV, dtype=block.atomic_energies.dtype)
        self.atomic_energies_fn = type(block)(references)
        for name in ("atomic_numbers", "r_max", "num_interactions"):
            self.register_buffer(name, cast(torch.Tensor, getattr(low, name)).clone())

    @property
    def products(self) -> Any:
        """The low network's, which mace's calculators ask for the shape of descriptors."""
        return self.low.products

    @property
    def references(self) -> EnergyReferences:
        """The energy references of both heads."""
        return add_references(self.low.references, self.correction.references)

    def forward(
        self,
        data: dict[str, torch.Tensor],
        training: bool = False,
        compute_force: bool = True,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """As ``ChargedMACE.forward``; descriptors (``node_feats``) are the low network's.

        Raises:
            ModelError: for a charge or head that is missing or was not trained on.
        """
        head = data.get("head")
        if head is None:
            raise ModelError("head", "missing", f"Choose one of {', '.join(self.heads)}")
        if not bool(((head >= 0) & (head < len(self.heads))).all()):
            remedy = f"The model has heads 0 to {len(self.heads) - 1}"
            raise ModelError("head index", head.tolist(), remedy)
        inner = {**data, "head": torch.zeros_like(head)}
        kwargs = {"training": training, "compute_force": compute_force, **kwargs}
        out = self.low(dict(inner), **kwargs)
        high = head == 1
        if not bool(high.any()):
            return out
        if inner.get("total_charge") is not None:
            # A charge that the correction never saw must not stop graphs that do not ask for it.
            known = torch.full_like(data["total_charge"], self.correction.card.charges[0])
            inner["total_charge"] = torch.where(high, data["total_charge"], known)
        added = self.correction(inner, **kwargs)
        for name in _SUMMED:
            if out.get(name) is not None and added.get(name) is not None:
                out[name] = out[name] + _share(name, added[name], high, data)
        return out


def _share(name: str, value: torch.Tensor, high: torch.Tensor, data: dict[str, torch.Tensor]) -> torch.Tensor:
    """The correction where it was asked for, zero elsewhere."""
    if name in _PER_GRAPH:
        chosen = high
    elif name in _PER_ATOM:
        chosen = high[data["batch"]]
    elif bool(high.all()):
        return value
    else:
        raise ModelError(name, "of a batch of both heads", "Ask for one head at a time")
    return value * chosen.reshape(-1, *([1] * (value.dim() - 1))).to(value.dtype)


def delta_card(low: ModelCard, correction: ModelCard) -> ModelCard:
    """The card of the whole."""
    return ModelCard(
        fidelities=(*low.fidelities, *correction.fidelities),
        elements=low.elements,
        keys=tuple(sorted((*low.keys, *correction.keys))),
        sizes=tuple(sorted({*low.sizes, *correction.sizes})),
        r_max_A=low.r_max_A,
        product_basis=low.product_basis,
        strategy=low.strategy,
        heads=2,
        dtype=low.dtype,
        member=low.member,
        seed=low.seed,
        version=low.version,
    )
