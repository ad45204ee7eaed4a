"""Models as files, and weights from one network into another: warm starts and finetuning.

A model is two files. ``model_0.model`` is a whole pickle, for `MACECalculator`; reading it runs it, and this package
never does. ``model_0.weights`` beside it holds the same network as plain values and tensors (``blueprint.py``), so
that models of somebody else's study can be searched with in peace.
"""

import hashlib
from pathlib import Path

import torch

from defectscape.domain.errors import ModelError
from defectscape.model.backend import read_tensors, write_file
from defectscape.model.blueprint import Network, blueprint, rebuild
from defectscape.model.layers.arrangement import as_mace_has_it
from defectscape.model.network import ChargedMACE
from defectscape.model.product_basis import copy_tensors

__all__ = ["Network", "copy_weights", "load_network", "save_network", "weights_digest", "weights_path"]


def weights_path(path: Path) -> Path:
    """The weights file that belongs to a model file."""
    return path.with_suffix(".weights")


def save_network(network: Network, path: Path) -> None:
    """Write the model on the CPU, each file whole or not at all; the weights come first."""
    network = network.to("cpu").eval()
    with as_mace_has_it(network):
        write_file(weights_path(path), blueprint(network))
        write_file(path, network)


def load_network(path: Path) -> Network:
    """Read a model that ``save_network`` wrote, from its weights file; nothing in it is executed.

    Raises:
        ModelError: if it cannot be read or is another kind of model.
    """
    plain = read_tensors(weights_path(path))
    if not isinstance(plain, dict):
        raise ModelError(
            "weights file",
            f"{weights_path(path)} holds {type(plain).__name__}",
            "Train the model again",
        )
    return rebuild(plain)


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
