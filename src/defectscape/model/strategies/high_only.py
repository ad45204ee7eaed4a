"""``high_only``: what the high-fidelity labels are worth alone. The model has one fidelity."""

from typing import cast

from defectscape.model.history import TrainingHistory
from defectscape.model.network import ChargedMACE
from defectscape.model.strategies.job import Job


def train_high_only(job: Job) -> tuple[ChargedMACE, TrainingHistory]:
    """One phase, on high-fidelity frames."""
    high = job.fidelities[1]
    start = cast(ChargedMACE | None, job.start)
    return job.run("training", *job.part(high), (high,), start)
