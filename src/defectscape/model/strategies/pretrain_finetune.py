"""``pretrain_finetune``: low-fidelity labels first; their weights are the start for the high ones.

The model that is written knows the high fidelity alone.
"""

from dataclasses import replace
from typing import cast

from defectscape.model.history import TrainingHistory
from defectscape.model.network import ChargedMACE
from defectscape.model.strategies.job import Job


def train_pretrain_finetune(job: Job) -> tuple[ChargedMACE, TrainingHistory]:
    """Two phases; with a model to start from (a warm start) only the second.

    A finetuning that never betters the pretrained weights keeps its first validation, not those
    weights: their energies and forces are the other fidelity's.
    """
    low, high = job.fidelities
    start = cast(ChargedMACE | None, job.start)
    earlier: tuple[TrainingHistory, ...] = ()
    if start is None:
        start, history = job.run(
            "pretraining", *job.part(low), (low,), None, first=True, steps=job.pretrain_steps
        )
        earlier = (history,)
    # The weights come from the first phase, whatever that one started from.
    network, history = job.run(
        "finetuning", *job.part(high), (high,), start,
        learning_rate=job.settings.learning_rate * job.settings.finetune_rate,
    )  # fmt: skip
    return network, replace(history, earlier=earlier)
