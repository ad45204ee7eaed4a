"""What a training needs before its first step: checked data, references, graphs, a network."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

import defectscape
from defectscape.domain.errors import ModelError
from defectscape.domain.label import LabelledFrame
from defectscape.model.backend import mace_data
from defectscape.model.card import ModelCard
from defectscape.model.checkpoint import training_digest
from defectscape.model.constants import refit_constants
from defectscape.model.dataset import Graphs, average_neighbours, rms_force_eV_A
from defectscape.model.network import PRODUCT_BASIS, ChargedMACE, build_network
from defectscape.model.references import EnergyReferences, fit_references
from defectscape.model.saving import copy_weights
from defectscape.model.validation import Validator, usable_validation
from defectscape.settings.training import TrainingSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Preparation:
    """Everything that is fixed before training begins; made inside ``numerics``.

    Attributes:
        phase: what is trained how.
        card: what the model is trained on.
        graphs: labelled training graphs, reference-free energies, in an order of their own.
        validator: validation batches.
        network: with its first weights.
        digest: hash of everything the outcome depends on.
        valid: validation frames used.
        train_frames, valid_frames: number of frames used, per fidelity.
    """

    phase: "Phase"
    card: ModelCard
    graphs: tuple[mace_data.AtomicData, ...]
    validator: Validator
    network: ChargedMACE
    digest: str
    valid: tuple[LabelledFrame, ...]
    train_frames: dict[str, int]
    valid_frames: dict[str, int]


@dataclass(frozen=True, eq=False)
class Phase:
    """One optimisation: a strategy is one or two of them.

    Attributes:
        name: for logs and histories.
        train: training frames; their order does not matter.
        valid: validation frames; of other families than the training frames.
        fidelities: names of the fidelities trained here, low first.
        elements: atomic numbers the model must know, ascending.
        settings: architecture and optimisation, steps and learning rate of this phase.
        seed: of weights and frame order.
        member: index in the committee.
        start: network to start from, or None.
        per_composition: whether each composition has energy constants of its own.
    """

    name: str
    train: Sequence[LabelledFrame]
    valid: Sequence[LabelledFrame]
    fidelities: tuple[str, ...]
    elements: tuple[int, ...]
    settings: TrainingSettings
    seed: int
    member: int
    start: ChargedMACE | None = None
    per_composition: bool = False


def prepare(phase: Phase) -> Preparation:
    """Check the data and make references, graphs and network.

    Raises:
        ModelError: as ``train_member``.
    """
    settings, fidelities, old = phase.settings, phase.fidelities, phase.start
    check_training(phase.train, fidelities)
    train = sorted(phase.train, key=_order)
    references = fit_references(train, fidelities, elements=phase.elements, per_composition=phase.per_composition)
    card = _card(train, references, phase)
    usable = usable_validation(sorted(phase.valid, key=_order), card)
    maker = Graphs.of(card)
    weights = dict.fromkeys(fidelities, 1.0)
    if len(fidelities) > 1:
        weights[fidelities[-1]] = settings.high_weight
    graphs = tuple(maker.labelled(item, references, weights[item.fidelity]) for item in train)
    network = _network(phase, card, references, graphs, train)
    card = network.card  # a foundation's network has the file's product basis
    refit_constants(network, graphs, settings.batch_size, torch.device("cpu"))
    validator = Validator.of(usable, maker, network.references, settings.batch_size)
    digest = training_digest(train, usable, settings, phase.seed, old)
    counts = [Counter(item.fidelity for item in part) for part in (train, usable)]
    per_fidelity = [{name: count[name] for name in fidelities} for count in counts]
    return Preparation(phase, card, graphs, validator, network, digest, usable, *per_fidelity)


def _network(
    phase: Phase,
    card: ModelCard,
    references: EnergyReferences,
    graphs: Sequence[mace_data.AtomicData],
    train: Sequence[LabelledFrame],
) -> ChargedMACE:
    """Random weights, a foundation's, or those of the network to start from."""
    settings, old = phase.settings, phase.start
    if settings.foundation is not None:
        from defectscape.model.foundation import build_from_foundation

        network = build_from_foundation(settings, card, references)
    else:
        neighbours, scale = average_neighbours(graphs), rms_force_eV_A(train)
        if old is not None:
            neighbours, scale = old.normalisation
        network = build_network(settings, card, references, average_neighbours=neighbours, scale_eV=scale)
    if old is not None:
        copy_weights(old, network)
    return network


def check_training(train: Sequence[LabelledFrame], fidelities: tuple[str, ...]) -> None:
    """Refuse frames of another fidelity, and fewer than two frames of one.

    Raises:
        ModelError: naming the fidelity.
    """
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


def _card(train: Sequence[LabelledFrame], references: EnergyReferences, phase: Phase) -> ModelCard:
    settings = phase.settings
    return ModelCard(
        fidelities=references.fidelities,
        elements=references.elements,
        keys=tuple(sorted({(item.fidelity, item.frame.key) for item in train})),
        sizes=tuple(sorted({len(item.frame) for item in train})),
        r_max_A=settings.r_max_A,
        product_basis=PRODUCT_BASIS,
        strategy=settings.strategy,
        heads=1 if settings.strategy == "fidelity_embedding" else len(references.fidelities),
        dtype=settings.dtype,
        member=phase.member,
        seed=phase.seed,
        version=defectscape.__version__,
    )


def _order(item: LabelledFrame) -> tuple[str, str, bytes, float]:
    frame = item.frame
    return item.fidelity, frame.geometry_hash, frame.positions_A.tobytes(), item.label.energy_eV
