"""``heads`` and ``fidelity_embedding``: all labels of both fidelities in one optimisation.

They differ in what tells the fidelities apart: a readout each at the end of the network, or a
learnable vector each at its beginning, beside the charge's (``network.py`` builds either).
"""

from typing import cast

from defectscape.model.history import TrainingHistory
from defectscape.model.network import ChargedMACE
from defectscape.model.strategies.job import Job


def train_joint(job: Job) -> tuple[ChargedMACE, TrainingHistory]:
    """One phase on everything; the high fidelity weighs ``high_weight`` times as much per frame."""
    start = cast(ChargedMACE | None, job.start)
    return job.run("training", job.train, job.valid, job.fidelities, start)
