"""A network as plain values and tensors, from which it is built again without running what a file holds.

Whole models, as mace's calculators load them, are pickles: reading one runs it (e3nn puts the source
of its generated functions into them). So a weights file lies beside each model file, with the
architecture by name, the card, the references and all tensors. It is read by torch's weights-only
reader, and everything named in it must be in the short lists below.
"""

import warnings
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Any, cast

import numpy as np
import torch

from defectscape.domain.errors import ModelError
from defectscape.domain.keys import DefectKey
from defectscape.model.backend import mace_modules, numerics, o3, to_numpy
from defectscape.model.card import PRODUCT_BASES, ModelCard
from defectscape.model.delta import DeltaMACE
from defectscape.model.embedding import graft_embedding
from defectscape.model.network import ChargedMACE
from defectscape.model.product_basis import same_shapes
from defectscape.model.references import EnergyReferences

FORMAT = 1
"""Version of the weights file's content."""

Network = ChargedMACE | DeltaMACE
"""What a strategy may yield."""

Plain = dict[str, Any]

_BLOCKS = {
    kind.__name__: kind
    for kind in (
        *mace_modules.interaction_classes.values(),
        mace_modules.NonLinearReadoutBlock,
        mace_modules.LinearReadoutBlock,
    )
}
_GATES: dict[str, Callable] = {name: gate for name, gate in mace_modules.gate_dict.items() if gate is not None}


def blueprint(network: Network) -> Plain:
    """The network as numbers, texts, lists, dictionaries and tensors."""
    card = _plain_card(network.card)
    if isinstance(network, DeltaMACE):
        parts = {"low": blueprint(network.low), "correction": blueprint(network.correction)}
        return {"format": FORMAT, "kind": "delta", "card": card, **parts}
    references = network.references
    return {
        "format": FORMAT,
        "kind": "network",
        "card": card,
        "references": {
            "charges": list(references.charges),
            "element_eV": torch.tensor(references.element_eV),
            "charge_eV": torch.tensor(references.charge_eV),
            **_plain_compositions(references),
        },
        "architecture": {name: _encode(value) for name, value in network.architecture.items()},
        "embedding": network.embedding_specs if hasattr(network, "joint_embedding") else None,
        "state": {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()},
    }


def rebuild(plain: Plain) -> Network:
    """The network of a blueprint: the same numbers to the last bit.

    Raises:
        ModelError: if it is of another version, or names what a network is not made of.
    """
    if plain.get("format") != FORMAT or plain.get("kind") not in ("network", "delta"):
        raise ModelError("weights file", f"format {plain.get('format')!r}", "Train the model again")
    try:
        if plain["kind"] == "delta":
            low, correction = rebuild(plain["low"]), rebuild(plain["correction"])
            card = _card({"product_basis": low.card.product_basis, **plain["card"]})
            with numerics(card.dtype, torch.device("cpu")):
                return DeltaMACE(cast(ChargedMACE, low), cast(ChargedMACE, correction), card).eval()
        return _network(plain)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelError("weights file", error, "It is damaged; train the model again") from error


def _network(plain: Plain) -> ChargedMACE:
    """The network in the basis that the file names; files of earlier versions name none.

    Those have what mace took by itself: the reduced one where cuequivariance was installed.
    """
    named = plain["card"].get("product_basis")
    if named not in (None, *PRODUCT_BASES):
        remedy = f"This version knows {', '.join(PRODUCT_BASES)}: train the model again"
        raise ModelError("product basis of the weights file", repr(named), remedy)
    for basis in PRODUCT_BASES if named is None else (named,):
        network = _with_random_weights(plain, _card({**plain["card"], "product_basis": basis}))
        if same_shapes(network, plain["state"]):
            network.load_state_dict(plain["state"])
            return network.eval()
    raise ModelError(
        "product basis of the weights file",
        f"its card names {named!r}, but its tensors have the shapes of another",
        "Train the model again",
    )


def _with_random_weights(plain: Plain, card: ModelCard) -> ChargedMACE:
    saved = plain["references"]
    references = EnergyReferences(
        card.fidelities,
        card.elements,
        tuple(saved["charges"]),
        to_numpy(saved["element_eV"]),
        to_numpy(saved["charge_eV"]),
    )
    if "compositions" in saved:
        rows = tuple(map(tuple, saved["compositions"]))
        references = replace(references, compositions=rows, composition_eV=to_numpy(saved["composition_eV"]))
    arguments = {name: _decode(value) for name, value in plain["architecture"].items()}
    # In files of earlier versions that began with a foundation model; it was not always what was built.
    arguments.pop("use_reduced_cg", None)
    specs, given = plain["embedding"], arguments.get("embedding_specs")
    with (
        numerics(card.dtype, torch.device("cpu")),
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="The TorchScript type system")
        network = ChargedMACE(card=card, references=references, **arguments)
        if specs is not None and given is None:
            graft_embedding(network, specs)
    return network


def _plain_compositions(references: EnergyReferences) -> Plain:
    """Constants of the compositions, where a network has them; other files stay as those of earlier versions."""
    if not references.compositions:
        return {}
    return {
        "compositions": [list(row) for row in references.compositions],
        "composition_eV": torch.tensor(references.composition_eV),
    }


def _encode(value: Any) -> Any:
    """A constructor's argument in plain values."""
    if isinstance(value, o3.Irreps):
        return {"irreps": str(value)}
    if isinstance(value, np.ndarray | torch.Tensor):
        return {"array": torch.as_tensor(value).detach().cpu().clone()}
    for kind, known in (("block", _BLOCKS), ("gate", _GATES)):
        for name, thing in known.items():
            if value is thing:
                return {kind: name}
    if isinstance(value, dict):
        return {"dict": {str(name): _encode(item) for name, item in value.items()}}
    if isinstance(value, list | tuple):
        return {"list": [_encode(item) for item in value]}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ModelError("architecture", repr(value), "It cannot be written as plain values")


def _decode(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    readers: dict[str, Callable[[Any], Any]] = {
        "irreps": o3.Irreps,
        "array": lambda tensor: tensor.numpy(),
        "block": _BLOCKS.__getitem__,
        "gate": _GATES.__getitem__,
        "dict": lambda items: {name: _decode(item) for name, item in items.items()},
        "list": lambda items: [_decode(item) for item in items],
    }
    return readers[kind](content)


def _plain_card(card: ModelCard) -> Plain:
    plain = asdict(card)
    plain["keys"] = [(fidelity, key.defect, key.charge) for fidelity, key in card.keys]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def _card(plain: Plain) -> ModelCard:
    # Cards of earlier versions say whether the network sees the charge; now each does.
    plain = {"charge_embedding": True, **plain}
    if not plain.pop("charge_embedding"):
        raise ModelError("weights file", "a network that does not see the charge", "Train it again")
    names = {field.name for field in fields(ModelCard)}
    if set(plain) != names:
        raise ValueError(f"a model card has other entries: {sorted(set(plain) ^ names)}")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    values["keys"] = tuple((fidelity, DefectKey(defect, charge)) for fidelity, defect, charge in values["keys"])
    return ModelCard(**values)
