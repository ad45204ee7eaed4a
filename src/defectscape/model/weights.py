"""Weights from one network into another: warm starts and finetuning."""

import hashlib

import torch

from defectscape.domain.errors import ModelError
from defectscape.model.network import ChargedMACE
from defectscape.model.product_basis import copy_tensors


def copy_weights(source: ChargedMACE, target: ChargedMACE) -> None:
    """Put the weights of ``source`` into ``target``; charges new to it keep their random vectors.

    Networks of one fidelity each may be of different ones: that is finetuning.

    Raises:
        ModelError: if fidelities, elements or architecture differ.
    """
    things = ["elements", "product_basis", "r_max_A", "heads"]
    if len(target.card.fidelities) > 1:
        things.append("fidelities")
    for thing in things:
        old, new = getattr(source.card, thing), getattr(target.card, thing)
        if old != new:
            remedy = f"The new one has {new}: switch `warm_start` off"
            raise ModelError(f"{thing} of the model to start from", old, remedy)
    embedding = "joint_embedding.embedders.total_charge.weight"
    weights = dict(source.named_parameters())
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            old = weights.pop(name, None)
            if old is not None and name == embedding and old.shape[1] == parameter.shape[1]:
                for charge in set(source.card.charges) & set(target.card.charges):
                    parameter[charge - target.charge_min] = old[charge - source.charge_min]
            elif old is not None and old.shape == parameter.shape:
                parameter.copy_(old)
            else:
                remedy = "The architecture changed: switch `warm_start` off"
                raise ModelError("model to start from, weight", name, remedy)
        copy_tensors(source.state_dict(), target)


def weights_digest(network: torch.nn.Module) -> str:
    """Hash of all weights and buffers: 64 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
