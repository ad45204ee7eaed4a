"""The strategies by their names in the config."""

from collections.abc import Callable

from defectscape.model.history import TrainingHistory
from defectscape.model.saving import Network
from defectscape.model.strategies.delta import train_delta
from defectscape.model.strategies.high_only import train_high_only
from defectscape.model.strategies.job import Job
from defectscape.model.strategies.joint import train_joint
from defectscape.model.strategies.pretrain_finetune import train_pretrain_finetune
from defectscape.settings.training import Strategy

STRATEGIES: dict[Strategy, Callable[[Job], tuple[Network, TrainingHistory]]] = {
    "heads": train_joint,
    "fidelity_embedding": train_joint,
    "high_only": train_high_only,
    "pretrain_finetune": train_pretrain_finetune,
    "delta": train_delta,
}
