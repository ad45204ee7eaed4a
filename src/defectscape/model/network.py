"""The network: mace's ScaleShiftMACE with charge and fidelity embedded, and float64 references.

The charge of the supercell enters as a learnable vector added to every atom's embedding (mace's
``GenericJointEmbedding``; arXiv:2603.05238). Fidelities have a readout each (mace's heads), or one
readout and a learnable vector each, like the charge. What mace does not do is done here: the energy
references per fidelity and charge (``references.py``) are put back in ``forward`` in float64,
whatever the dtype of the network, so that a saved file gives raw engine energies; and a charge or
head that was never trained on is refused, where mace would truncate, wrap around or take the last.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Floats
from defectscape.domain.keys import format_charge
from defectscape.model.backend import mace_modules, o3, to_numpy, unscripted
from defectscape.model.card import ModelCard, ProductBasis
from defectscape.model.embedding import FIDELITY, embedding_specs
from defectscape.model.product_basis import built_with
from defectscape.model.references import EnergyReferences
from defectscape.settings.training import TrainingSettings

_REFERENCES = ("element_reference_eV", "charge_reference_eV", "composition_reference_eV")
_RADIAL = {"num_bessel": 8, "num_polynomial_cutoff": 5}

PRODUCT_BASIS: ProductBasis = "reduced"
"""Of every network that is not made from a file; measured in docs/model.md."""


class ChargedMACE(mace_modules.ScaleShiftMACE):
    """ScaleShiftMACE that knows its charges and gives raw engine energies.

    Args:
        card: what it is trained on.
        references: energy references, put back in ``forward``.
        kwargs: of ScaleShiftMACE; kept as ``architecture``, to build the same again.
    """

    architecture: dict[str, Any]

    charge_reference_eV: torch.Tensor
    element_reference_eV: torch.Tensor
    composition_reference_eV: torch.Tensor
    composition_counts: torch.Tensor
    r_max: torch.Tensor

    def __init__(self, *, card: ModelCard, references: EnergyReferences, **kwargs: Any) -> None:
        shared = card.heads == 1 and len(references.fidelities) > 1
        architecture = dict(kwargs)
        with unscripted(), built_with(card.product_basis):
            super().__init__(
                heads=["shared"] if shared else list(references.fidelities),
                atomic_numbers=list(references.elements),
                num_elements=len(references.elements),
                atomic_energies=references.element_eV.copy(),
                use_reduced_cg=False,  # else it depends on what is installed
                **kwargs,
            )
        # What mace's calculators offer: one name per fidelity, whatever the readouts.
        self.heads = list(references.fidelities)
        self.card = card
        self.architecture = architecture
        self.charge_min = references.charges[0]
        # One column per charge of the range; NaN where a head was never trained on it.
        width = references.charges[-1] - references.charges[0] + 1
        table = np.full((len(references.fidelities), width), np.nan)
        table[:, np.array(references.charges) - self.charge_min] = references.charge_eV
        self.register_buffer("charge_reference_eV", torch.tensor(table, dtype=torch.float64))
        elements = torch.tensor(references.element_eV.copy(), dtype=torch.float64)
        self.register_buffer("element_reference_eV", elements)
        if references.compositions:
            own = np.zeros((len(references.fidelities), len(references.compositions), width))
            own[:, :, np.array(references.charges) - self.charge_min] = references.composition_eV
            self.register_buffer("composition_reference_eV", torch.tensor(own, dtype=torch.float64))
            self.register_buffer("composition_counts", torch.tensor(references.compositions))

    def _apply(self, fn: Callable, recurse: bool = True) -> "ChargedMACE":
        """Device moves reach the references, dtype changes do not: 1e-7 of 3000 eV is too much."""
        kept = {name: getattr(self, name) for name in _REFERENCES if name in self._buffers}
        super()._apply(fn, recurse)
        for name, tensor in kept.items():
            self._buffers[name] = tensor.to(self.r_max.device)
        return self

    @property
    def references(self) -> EnergyReferences:
        """The energy references it puts back."""
        table = to_numpy(self.charge_reference_eV)
        columns = [i for i in range(table.shape[1]) if np.any(np.isfinite(table[:, i]))]
        known = EnergyReferences(
            self.card.fidelities,
            self.card.elements,
            tuple(self.charge_min + i for i in columns),
            to_numpy(self.element_reference_eV),
            table[:, columns],
        )
        if not self.own_compositions:
            return known
        own = to_numpy(self.composition_reference_eV)[:, :, columns]
        return replace(known, compositions=self.own_compositions, composition_eV=own)

    @property
    def own_compositions(self) -> tuple[tuple[int, ...], ...]:
        """Atoms of each element, of the compositions that have constants of their own."""
        if "composition_counts" not in self._buffers:
            return ()
        return tuple(map(tuple, self.composition_counts.tolist()))

    def shift_compositions(self, head: int, own_eV: Floats) -> None:
        """Add (compositions, columns) eV to the constants of the compositions of a head, in place."""
        self.composition_reference_eV[head] += torch.tensor(own_eV, device=self.composition_reference_eV.device)

    def shift_references(self, head: int, element_eV: Floats, charge_eV: Floats) -> None:
        """Add (elements,) eV per atom and (columns,) eV to the references of a head, in place."""
        place = self.charge_reference_eV.device
        self.element_reference_eV[head] += torch.tensor(element_eV, device=place)
        self.charge_reference_eV[head] += torch.tensor(charge_eV, device=place)
        block = cast(Any, self.atomic_energies_fn).atomic_energies
        block.copy_(self.element_reference_eV.to(block.dtype))

    @property
    def normalisation(self) -> tuple[float, float]:
        """Average number of neighbours and scale (eV) that its weights rely on."""
        first, block = cast(Any, self.interactions)[0], cast(Any, self.scale_shift)
        return float(first.avg_num_neighbors), float(block.scale[0])

    def forward(  # type: ignore[override]
        self, data: dict[str, torch.Tensor], **kwargs: Any
    ) -> dict[str, Any]:
        """As ScaleShiftMACE, with ``energy`` (graphs,) in float64, references included, eV.

        ``interaction_energy`` is the learned part alone.

        Raises:
            ModelError: for a charge or head that is missing or was not trained on.
        """
        constant = self._constants(data)
        head, batch = data["head"], data["batch"]
        readout = head if self.card.heads > 1 else torch.zeros_like(head)
        inner = {**data, "head": readout, FIDELITY: head}
        out: dict[str, Any] = super().forward(inner, **kwargs)
        kinds = data["node_attrs"]
        per_atom = kinds.to(torch.float64) @ self.element_reference_eV.T
        per_atom = per_atom.gather(1, head[batch].unsqueeze(-1)).squeeze(-1)
        atoms = torch.zeros_like(constant).index_add(0, batch, per_atom)
        if "composition_counts" in self._buffers:
            constant = constant + self._own_constants(data)
        out["energy"] = out["interaction_energy"].to(torch.float64) + atoms + constant
        # mace has added its own atomic energies, of the readout and in the network's dtype.
        added = cast(Any, self.atomic_energies_fn)(kinds)
        added = added.gather(1, readout[batch].unsqueeze(-1)).squeeze(-1).to(torch.float64)
        share = (constant / torch.bincount(batch, minlength=len(constant)))[batch]
        out["node_energy"] = out["node_energy"] - added + per_atom + share
        return out

    def columns(self, charge: torch.Tensor) -> torch.Tensor:
        """Column of ``charge_reference_eV`` for charges in e; may lie outside the table."""
        return charge.round().long() - self.charge_min

    def _own_constants(self, data: dict[str, torch.Tensor]) -> torch.Tensor:
        """d(f, q, n) of every graph, float64; 0 for a composition that was not trained on."""
        head, charge, kinds = data["head"], data["total_charge"].detach(), data["node_attrs"].detach()
        counts = torch.zeros(len(head), kinds.shape[1], dtype=torch.float64, device=kinds.device)
        counts.index_add_(0, data["batch"], kinds.to(torch.float64))
        same = (counts.round().long()[:, None, :] == self.composition_counts[None]).all(dim=-1)
        own = self.composition_reference_eV[head, :, self.columns(charge)]
        return torch.where(same, own, 0.0).sum(dim=-1)

    def _constants(self, data: dict[str, torch.Tensor]) -> torch.Tensor:
        """c(f, q) of every graph, float64, after the checks that mace leaves out."""
        if data.get("total_charge") is None:
            raise ModelError("total_charge", "missing", "Give every structure its charge, in e")
        if data.get("head") is None:
            raise ModelError("head", "missing", f"Choose one of {', '.join(self.card.fidelities)}")
        charge, head = data["total_charge"].detach(), data["head"]
        if not bool(((head >= 0) & (head < len(self.card.fidelities))).all()):
            remedy = f"The model has heads 0 to {len(self.card.fidelities) - 1}"
            raise ModelError("head index", head.tolist(), remedy)
        if not bool((charge == charge.round()).all()):
            raise ModelError("total_charge", charge.tolist(), "It must be a whole number of e")
        column = self.columns(charge)
        inside = (column >= 0) & (column < self.charge_reference_eV.shape[1])
        constant = self.charge_reference_eV[head, torch.where(inside, column, 0)]
        refused = ~inside | constant.isnan()
        if bool(refused.any()):
            index = int(refused.nonzero()[0])
            fidelity = self.card.fidelities[int(head[index])]
            known = sorted(key.charge for name, key in self.card.keys if name == fidelity)
            known_text = ", ".join(dict.fromkeys(map(format_charge, known)))
            remedy = f"The model was trained on {known_text} at {fidelity}; train it on this one too"
            raise ModelError("total_charge", format_charge(int(charge[index])), remedy)
        return constant


def build_network(
    settings: TrainingSettings,
    card: ModelCard,
    references: EnergyReferences,
    *,
    average_neighbours: float,
    scale_eV: float,
) -> ChargedMACE:
    """A network with random weights from ``card.seed``, in the default dtype.

    Args:
        settings: architecture.
        card: what it will be trained on.
        references: energy references.
        average_neighbours: mean number of neighbours within the cutoff in the training set.
        scale_eV: factor on the learned energies; the RMS force of the training set, in eV/A.
    """
    interaction = mace_modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    hidden = (o3.Irreps.spherical_harmonics(settings.max_L) * settings.channels).sort()[0].simplify()
    heads, fidelities = card.heads, len(references.fidelities)
    specs = embedding_specs(settings, references.charges, fidelities if heads < fidelities else 0)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The TorchScript type system")
        torch.manual_seed(card.seed)
        return ChargedMACE(
            card=card,
            references=references,
            r_max=settings.r_max_A,
            **_RADIAL,
            max_ell=settings.max_ell,
            interaction_cls=interaction,
            interaction_cls_first=interaction,
            num_interactions=settings.layers,
            hidden_irreps=hidden,
            MLP_irreps=o3.Irreps("16x0e"),
            avg_num_neighbors=average_neighbours,
            correlation=settings.correlation,
            gate=mace_modules.gate_dict["silu"],
            embedding_specs=specs,
            atomic_inter_scale=np.full(heads, scale_eV),
            atomic_inter_shift=np.zeros(heads),
        )
