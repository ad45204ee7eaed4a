"""Start from a MACE foundation model: its architecture and weights, our heads, charge and references.

mace's own route drops the embedding specification and overwrites the new atomic energies, both in
silence. So the order here is: build without embedding, load the weights, put our references back,
then graft the embedding with no effect. At the start learned energies and forces are the foundation's
for every charge and head, and gradients reach the embedding.
"""

import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mace.tools.finetuning_utils import load_foundations_elements
from mace.tools.scripts_utils import extract_config_mace_model

from defectscape.domain.errors import ModelError
from defectscape.model.backend import AtomicNumberTable, mace_modules, o3, read_model_file
from defectscape.model.card import PRODUCT_BASES, ModelCard
from defectscape.model.embedding import embedding_specs, graft_embedding
from defectscape.model.network import ChargedMACE
from defectscape.model.product_basis import copy_tensors, same_shapes
from defectscape.model.references import EnergyReferences
from defectscape.settings.training import TrainingSettings

_OURS = (
    "heads",
    "atomic_numbers",
    "num_elements",
    "atomic_energies",
    "embedding_specs",
    "use_embedding_readout",
    "use_reduced_cg",
)


@cache
def _read(path: Path) -> torch.nn.Module:
    model = read_model_file(path)
    if type(model) is not mace_modules.ScaleShiftMACE:
        raise ModelError(
            "training.foundation",
            f"{path} holds {type(model).__name__}",
            "Give a ScaleShiftMACE, such as the MACE-MP or MACE-OMAT files",
        )
    heads = getattr(model, "heads", ["default"])
    if len(heads) > 1:
        raise ModelError(
            "heads of the foundation model",
            ", ".join(heads),
            "Take one head out of it first (`mace_select_head`)",
        )
    return model


def foundation_architecture(path: Path) -> dict[str, Any]:
    """The settings in ``training`` that the architecture of a foundation file asks for.

    Raises:
        ModelError: if it cannot be read or is no plain ScaleShiftMACE of one head.
    """
    config = extract_config_mace_model(_read(path))
    hidden = o3.Irreps(config["hidden_irreps"])
    return {
        "channels": hidden.count(o3.Irrep(0, 1)),
        "max_L": hidden.lmax,
        "max_ell": config["max_ell"],
        "correlation": config["correlation"],
        "r_max_A": config["r_max"],
        "layers": config["num_interactions"],
    }


def check_architecture(settings: TrainingSettings) -> None:
    """Compare the architecture of a training with that of its foundation file.

    Raises:
        ModelError: as ``foundation_architecture``, and if they differ, with what to set.
    """
    path = Path(str(settings.foundation))
    wanted = {
        name: value
        for name, value in foundation_architecture(path).items()
        if abs(getattr(settings, name) - value) > 1e-6
    }
    if wanted:
        text = ", ".join(f"{name}: {value:g}" for name, value in wanted.items())
        given = ", ".join(f"{name}: {getattr(settings, name):g}" for name in wanted)
        raise ModelError("architecture in `training`", given, f"{path} asks for {text}")


def build_from_foundation(settings: TrainingSettings, card: ModelCard, references: EnergyReferences) -> ChargedMACE:
    """A network with the foundation's weights, in the default dtype; average neighbours and scale too.

    Args:
        settings: ``foundation`` and the architecture, which must be the file's.
        card: what it will be trained on; the network's own names the file's product basis.
        references: energy references.

    Raises:
        ModelError: as ``foundation_architecture``, and if an element is not in the file or the
            architecture is another.
    """
    check_architecture(settings)
    path = Path(str(settings.foundation))
    # A copy: the cached module must keep its own dtype.
    source = read_model_file(path).to(torch.get_default_dtype())
    strange = sorted(set(references.elements) - set(source.atomic_numbers.tolist()))
    if strange:
        raise ModelError("atomic number", strange[0], f"{path} does not know this element")
    network = _in_its_basis(source, card, references)
    # The embedding's vectors are random, and belong to the member's seed like all else.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The TorchScript type system")
        torch.manual_seed(card.seed)
        fidelities = len(references.fidelities)
        specs = embedding_specs(settings, references.charges, fidelities if card.heads < fidelities else 0)
        graft_embedding(network, specs)
    return network


def _in_its_basis(source: torch.nn.Module, card: ModelCard, references: EnergyReferences) -> ChargedMACE:
    """The network in the file's own basis of products: the file's word for it depends on where it was written."""
    state = source.state_dict()
    for basis in PRODUCT_BASES:
        network = _build(source, replace(card, product_basis=basis), references)
        if same_shapes(network, state):
            copy_tensors(state, network)
            return network
    raise ModelError(
        "products of the foundation model",
        "of an unknown basis",
        f"Give a file whose products are of the basis {' or '.join(PRODUCT_BASES)}",
    )


def _build(source: torch.nn.Module, card: ModelCard, references: EnergyReferences) -> ChargedMACE:
    config = {k: v for k, v in extract_config_mace_model(source).items() if k not in _OURS}
    scale = float(np.atleast_1d(config.pop("atomic_inter_scale"))[0])
    shift = float(np.atleast_1d(config.pop("atomic_inter_shift"))[0])
    network = ChargedMACE(
        card=card,
        references=references,
        atomic_inter_scale=np.full(card.heads, scale),
        atomic_inter_shift=np.full(card.heads, shift),
        **config,
    )
    offered, network.heads = network.heads, network.heads[: card.heads]
    load_foundations_elements(
        network,
        source,
        AtomicNumberTable(list(references.elements)),
        load_readout=True,
        max_L=o3.Irreps(config["hidden_irreps"]).lmax,
    )
    network.heads = offered
    network.shift_references(0, np.zeros(len(references.elements)), np.zeros(network.charge_reference_eV.shape[1]))
    return network
