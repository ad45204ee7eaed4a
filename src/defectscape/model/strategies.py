"""How labels of two fidelities make one model: a function for each strategy, over the phases of ``phase.py``.

* ``heads`` and ``fidelity_embedding``: all labels in one optimisation. They differ in what tells the fidelities apart:
  a readout each at the end of the network, or a learnable vector each at its beginning, beside the charge's
  (``network.py`` builds either).
* ``high_only``: what the high-fidelity labels are worth alone. The model has one fidelity.
* ``pretrain_finetune``: low-fidelity labels first; their weights are the start for the high ones. The model that is
  written knows the high fidelity alone.
* ``delta``: a low-fidelity model, and a second one of what the high fidelity adds to it. The second learns, frame by
  frame, high label less low label where the store has both: a small and smooth quantity. Where a frame has no low label
  (those that searches found) the low model stands in for it, so that the correction takes the low model's error there
  into account.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from defectscape.domain.label import Label, LabelledFrame
from defectscape.model.committee import Committee
from defectscape.model.delta import DeltaMACE, delta_card
from defectscape.model.history import TrainingHistory
from defectscape.model.job import Job
from defectscape.model.network import ChargedMACE
from defectscape.model.saving import Network
from defectscape.model.validation import errors_as_written
from defectscape.settings.training import Strategy


def train_joint(job: Job) -> tuple[ChargedMACE, TrainingHistory]:
    """One phase on everything; the high fidelity weighs ``high_weight`` times as much per frame."""
    start = cast(ChargedMACE | None, job.start)
    return job.run("training", job.train, job.valid, job.fidelities, start)


def train_high_only(job: Job) -> tuple[ChargedMACE, TrainingHistory]:
    """One phase, on high-fidelity frames."""
    high = job.fidelities[1]
    start = cast(ChargedMACE | None, job.start)
    return job.run("training", *job.part(high), (high,), start)


def train_pretrain_finetune(job: Job) -> tuple[ChargedMACE, TrainingHistory]:
    """Two phases; with a model to start from (a warm start) only the second.

    A finetuning that never betters the pretrained weights keeps its first validation, not those
    weights: their energies and forces are the other fidelity's.
    """
    low, high = job.fidelities
    start = cast(ChargedMACE | None, job.start)
    earlier: tuple[TrainingHistory, ...] = ()
    if start is None:
        start, history = job.run("pretraining", *job.part(low), (low,), None, first=True, steps=job.pretrain_steps)
        earlier = (history,)
    # The weights come from the first phase, whatever that one started from.
    network, history = job.run(
        "finetuning",
        *job.part(high),
        (high,),
        start,
        learning_rate=job.settings.learning_rate * job.settings.finetune_rate,
    )
    return network, replace(history, earlier=earlier)


def train_delta(job: Job) -> tuple[DeltaMACE, TrainingHistory]:
    """Two phases; both continue from their own part of a model to start from."""
    low, high = job.fidelities
    start = cast(DeltaMACE | None, job.start)
    train_low, valid_low = job.part(low)
    base, first = job.run(
        "low model",
        train_low,
        valid_low,
        (low,),
        start.low if start else None,
        first=True,
        steps=job.pretrain_steps,
    )
    train_high, valid_high = job.part(high)
    known = {state_of(item): item.label for item in (*train_low, *valid_low)}
    network, second = job.run(
        "correction",
        differences(train_high, known, base, low),
        differences(valid_high, known, base, low),
        (high,),
        start.correction if start else None,
    )
    whole = DeltaMACE(base, network, delta_card(base.card, network.card)).to(job.device)
    valid = [*valid_low, *valid_high]
    energy, forces = errors_as_written(whole, valid, job.settings.batch_size, job.device)
    return whole, replace(
        second,
        earlier=(first,),
        fidelities=whole.card.fidelities,
        train_frames={**first.train_frames, **second.train_frames},
        valid_frames={**first.valid_frames, **second.valid_frames},
        parameters=first.parameters + second.parameters,
        energy_rmse_meV_atom=energy,
        forces_rmse_meV_A=forces,
    )


def state_of(item: LabelledFrame) -> tuple[str, int]:
    """What a label belongs to: the structure and its charge."""
    return item.frame.geometry_hash, item.frame.charge


def differences(
    items: Sequence[LabelledFrame],
    known: dict[tuple[str, int], Label],
    base: ChargedMACE,
    low: str,
) -> list[LabelledFrame]:
    """The frames with high less low as their label; ``low`` names the fidelity of ``base``.

    Raises:
        ModelError: if the low model, where it must stand in, was not trained on a frame's charge.
    """
    missing = [item.frame for item in items if state_of(item) not in known]
    device = base.r_max.device
    predicted = Committee((base,), str(device)).evaluate_many(missing, low) if missing else ()
    standing = {
        (frame.geometry_hash, frame.charge): Label(point.energy_eV, point.forces_eV_A)
        for frame, point in zip(missing, predicted, strict=True)
    }
    found = []
    for item in items:
        lower = known.get(state_of(item)) or standing[state_of(item)]
        label = Label(item.label.energy_eV - lower.energy_eV, item.label.forces_eV_A - lower.forces_eV_A)
        found.append(LabelledFrame(item.frame, label, item.fidelity))
    return found


STRATEGIES: dict[Strategy, Callable[[Job], tuple[Network, TrainingHistory]]] = {
    "heads": train_joint,
    "fidelity_embedding": train_joint,
    "high_only": train_high_only,
    "pretrain_finetune": train_pretrain_finetune,
    "delta": train_delta,
}
"""The strategies by their names in the config."""
