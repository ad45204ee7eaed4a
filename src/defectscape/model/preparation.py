"""What a training needs before its first step: checked data, references, graphs, a network."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import defectscape
from defectscape.domain.errors import ModelError
from defectscape.domain.label import LabelledFrame
from defectscape.model.backend import mace_data
from defectscape.model.card import ModelCard
from defectscape.model.centring import recentre
from defectscape.model.checkpoint import training_digest
from defectscape.model.dataset import Graphs, average_neighbours, rms_force_eV_A
from defectscape.model.network import ChargedMACE, build_network, copy_weights, load_network
from defectscape.model.references import EnergyReferences, fit_references
from defectscape.model.validation import Validator, usable_validation
from defectscape.settings.training import Training

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Preparation:
    """Everything that is fixed before training begins; made inside ``numerics``.

    Attributes:
        settings: architecture and optimisation.
        card: what the model is trained on.
        graphs: labelled training graphs, reference-free energies, in an order of their own.
        validator: validation batches.
        network: with its first weights.
        digest: hash of everything the outcome depends on.
        valid: validation frames used.
        maker: makes graphs for this model.
        train_frames, valid_frames: number of frames used, per fidelity.
    """

    settings: Training
    card: ModelCard
    graphs: tuple[mace_data.AtomicData, ...]
    validator: Validator
    network: ChargedMACE
    digest: str
    valid: tuple[LabelledFrame, ...]
    maker: Graphs
    train_frames: dict[str, int]
    valid_frames: dict[str, int]


def prepare(
    train: Sequence[LabelledFrame],
    valid: Sequence[LabelledFrame],
    fidelities: tuple[str, str],
    settings: Training,
    member_seed: int,
    member: int,
    warm_start: Path | None,
) -> Preparation:
    """Check the data and make references, graphs and network; arguments as ``train_member``.

    Raises:
        ModelError: as ``train_member``.
    """
    check_training(train, fidelities)
    train = sorted(train, key=_order)
    old = None if warm_start is None else load_network(warm_start)
    references = fit_references(train, fidelities, per_charge=settings.charge_embedding)
    card = _card(train, references, settings, member_seed, member)
    usable = usable_validation(sorted(valid, key=_order), card)
    maker = Graphs.of(card)
    weights = {fidelities[0]: 1.0, fidelities[1]: settings.high_weight}
    graphs = tuple(maker.labelled(item, references, weights[item.fidelity]) for item in train)
    neighbours, scale = average_neighbours(graphs), rms_force_eV_A(train)
    if old is not None:
        neighbours, scale = old.normalisation
    network = build_network(
        settings, card, references, average_neighbours=neighbours, scale_eV=scale
    )
    if old is not None:
        copy_weights(old, network)
    recentre(network, graphs, settings.batch_size, torch.device("cpu"))
    validator = Validator.of(usable, maker, network.references, settings.batch_size)
    digest = training_digest(train, usable, settings, member_seed, warm_start)
    counts = [Counter(item.fidelity for item in part) for part in (train, usable)]
    per_fidelity = [{name: count[name] for name in fidelities} for count in counts]
    return Preparation(
        settings, card, graphs, validator, network, digest, usable, maker, *per_fidelity
    )


def check_training(train: Sequence[LabelledFrame], fidelities: tuple[str, str]) -> None:
    """Refuse frames of another fidelity, and fewer than two frames of one.

    Raises:
        ModelError: naming the fidelity.
    """
    if len(set(fidelities)) != 2:
        raise ModelError("fidelities", fidelities, "Give two different names, low first")
    counts = Counter(item.fidelity for item in train)
    strange = sorted(set(counts) - set(fidelities))
    if strange:
        remedy = f"The fidelities are {', '.join(fidelities)}"
        raise ModelError("training frames of fidelity", repr(strange[0]), remedy)
    for fidelity in fidelities:
        if counts[fidelity] < 2:
            remedy = "It needs two at least: label more, or look for failed labels"
            thing = f"training frames of fidelity {fidelity!r}"
            raise ModelError(thing, counts[fidelity], remedy)


def _card(
    train: Sequence[LabelledFrame],
    references: EnergyReferences,
    settings: Training,
    seed: int,
    member: int,
) -> ModelCard:
    return ModelCard(
        fidelities=references.fidelities,
        elements=references.elements,
        keys=tuple(sorted({(item.fidelity, item.frame.key) for item in train})),
        sizes=tuple(sorted({len(item.frame) for item in train})),
        r_max_A=settings.r_max_A,
        charge_embedding=settings.charge_embedding,
        dtype=settings.dtype,
        member=member,
        seed=seed,
        version=defectscape.__version__,
    )


def _order(item: LabelledFrame) -> tuple[str, str, bytes, float]:
    frame = item.frame
    return item.fidelity, frame.geometry_hash, frame.positions_A.tobytes(), item.label.energy_eV
