"""Training of one committee member, by the strategy that the study chooses."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from defectscape.domain.errors import ModelError
from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_seed
from defectscape.model.backend import find_device, numerics
from defectscape.model.card import CHARGE_WARNING, PRIOR_WARNING
from defectscape.model.checkpoint import discard_checkpoint
from defectscape.model.history import TrainingHistory
from defectscape.model.job import Job
from defectscape.model.saving import load_network, save_network
from defectscape.model.strategies import STRATEGIES
from defectscape.settings.training import TrainingSettings


def train_member(
    train: Sequence[LabelledFrame],
    valid: Sequence[LabelledFrame],
    fidelities: tuple[str, str],
    settings: TrainingSettings,
    seed: int,
    member: int,
    output: Path,
    warm_start: Path | None = None,
    checkpoint: Path | None = None,
    prior: str = "",
    per_composition: bool = False,
) -> TrainingHistory:
    """Train one member and write it to ``output``.

    Args:
        train: training frames of both fidelities; their order does not matter.
        valid: validation frames; of other families than the training frames.
        fidelities: names of low and high fidelity, in this order.
        settings: strategy, architecture and optimisation.
        seed: of the study or stage; the member's own is derived from it.
        member: index in the committee.
        output: file of the model, written whole at the end.
        warm_start: model file of the same strategy to start from, or None.
        checkpoint: file to continue from if it fits, written at every validation (with a number for
            a strategy's first phase), removed at the end; None for none.
        prior: name of the prior that was taken off the labels, for the card; empty for none.
        per_composition: whether each composition has energy constants of its own beside those of the charges
            (``references.py``), where there are several.

    Raises:
        ModelError: fewer than two training frames of a fidelity that the strategy needs, validation
            frames of an element, charge, size or fidelity not trained on, a model to start from that
            does not fit, a device that is not there, a loss that is not finite.
    """
    device = find_device(settings.device)
    _check_fidelities([*train, *valid], fidelities)
    with numerics(settings.dtype, device):
        start = None if warm_start is None else load_network(warm_start)
        if start is not None and start.card.strategy != settings.strategy:
            raise ModelError(
                "strategy of the model to start from",
                start.card.strategy,
                f"The new one is {settings.strategy}: switch `warm_start` off",
            )
        if start is not None and start.card.prior != prior:
            raise ModelError(
                "prior of the model to start from",
                start.card.prior or "none",
                f"The new one has {prior or 'none'}: switch `warm_start` off",
            )
        job = Job(
            tuple(train),
            tuple(valid),
            fidelities,
            settings,
            derive_seed(seed, "member", member),
            member,
            device,
            start,
            checkpoint,
            per_composition,
        )
        network, history = STRATEGIES[settings.strategy](job)
        if prior:
            network.card = replace(network.card, prior=prior, warning=f"{CHARGE_WARNING} {PRIOR_WARNING}")
        save_network(network, output)
    for path in job.checkpoints:
        discard_checkpoint(path)
    return history


def _check_fidelities(data: Sequence[LabelledFrame], fidelities: tuple[str, str]) -> None:
    if len(set(fidelities)) != 2:
        raise ModelError("fidelities", fidelities, "Give two different names, low first")
    strange = sorted({item.fidelity for item in data} - set(fidelities))
    if strange:
        remedy = f"The fidelities are {', '.join(fidelities)}"
        raise ModelError("training frames of fidelity", repr(strange[0]), remedy)
