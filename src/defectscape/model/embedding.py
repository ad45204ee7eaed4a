"""Which attributes of a structure are embedded, and how an embedding joins a network later.

mace's ``GenericJointEmbedding`` adds ``SiLU(W concat(v_1, v_2, ...))`` to the embedding of every
atom, with one learnable vector per charge (arXiv:2603.05238) and, where there is one, per fidelity.
"""

from typing import Any, cast

import torch

from defectscape.model.backend import GenericJointEmbedding
from defectscape.settings.training import TrainingSettings

CHARGE = "total_charge"
FIDELITY = "fidelity"


def embedding_specs(settings: TrainingSettings, charges: tuple[int, ...], fidelities: int) -> dict[str, Any]:
    """mace's specification of the embedded attributes.

    Args:
        settings: how long the vectors are.
        charges: charges trained on, ascending, e; those between them get a vector too.
        fidelities: how many are embedded; 0 if they have readouts of their own.
    """
    classes, offset = charges[-1] - charges[0] + 1, -charges[0]
    specs = {CHARGE: _categorical(classes, offset, settings.charge_embedding_dim)}
    if fidelities:
        specs[FIDELITY] = _categorical(fidelities, 0, settings.charge_embedding_dim)
    return specs


def _categorical(classes: int, offset: int, length: int) -> dict[str, Any]:
    return {
        "type": "categorical",
        "per": "graph",
        "num_classes": classes,
        "offset": offset,
        "emb_dim": length,
    }


def graft_embedding(network: torch.nn.Module, specs: dict[str, Any]) -> None:
    """Give a network, in torch's default dtype, an embedding that starts from zero effect.

    The projection's weights are zero, so every energy and force stays as it was; its gradient is not
    zero, since the vectors it acts on are random and SiLU'(0) is a half.
    """
    open_network = cast(Any, network)
    width = int(open_network.node_embedding.linear.irreps_out.dim)
    block = GenericJointEmbedding(base_dim=width, embedding_specs=specs, out_dim=width)
    with torch.no_grad():
        cast(Any, block.project)[0].weight.zero_()
    open_network.embedding_specs = specs
    open_network.joint_embedding = block
