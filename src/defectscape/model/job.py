"""What every strategy is given, and the phases it makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_seed
from defectscape.model.history import TrainingHistory
from defectscape.model.network import ChargedMACE
from defectscape.model.phase import train_phase
from defectscape.model.preparation import Phase
from defectscape.model.saving import Network
from defectscape.settings.training import TrainingSettings


@dataclass(frozen=True, eq=False)
class Job:
    """One member to train; lives inside ``numerics``.

    Attributes:
        train, valid: frames of both fidelities.
        fidelities: low and high.
        settings: of the study.
        seed: the member's own.
        member: index in the committee.
        device: where to train.
        start: the model to start from, of the same strategy, or None.
        checkpoint: file to continue from, or None.
        per_composition: whether each composition has energy constants of its own.
    """

    train: tuple[LabelledFrame, ...]
    valid: tuple[LabelledFrame, ...]
    fidelities: tuple[str, str]
    settings: TrainingSettings
    seed: int
    member: int
    device: torch.device
    start: Network | None
    checkpoint: Path | None
    per_composition: bool = False

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers in the training frames of both fidelities."""
        return tuple(sorted({int(z) for item in self.train for z in item.frame.numbers}))

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """Every checkpoint file that this training may have written: the last phase's, then the first's."""
        return () if self.checkpoint is None else (self.checkpoint, _first(self.checkpoint))

    def part(self, fidelity: str) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
        """Training and validation frames of one fidelity."""
        parts = [[i for i in data if i.fidelity == fidelity] for data in (self.train, self.valid)]
        return parts[0], parts[1]

    def run(
        self,
        name: str,
        train: Sequence[LabelledFrame],
        valid: Sequence[LabelledFrame],
        fidelities: tuple[str, ...],
        start: ChargedMACE | None,
        *,
        first: bool = False,
        **changes: Any,
    ) -> tuple[ChargedMACE, TrainingHistory]:
        """One phase.

        Args:
            name: of the phase.
            train, valid: its frames.
            fidelities: what it trains, low first.
            start: where it starts.
            first: whether another phase follows; it has a seed and a checkpoint of its own.
            changes: of the settings.
        """
        seed = derive_seed(self.seed, "first phase") if first else self.seed
        point = self._first_point if first else self.checkpoint
        phase = Phase(
            name,
            train,
            valid,
            fidelities,
            self.elements,
            self.settings.model_copy(update=changes),
            seed,
            self.member,
            start,
            self.per_composition,
        )
        return train_phase(phase, self.device, point)

    @property
    def _first_point(self) -> Path | None:
        """Checkpoint of a first phase."""
        return _first(self.checkpoint) if self.checkpoint else None

    @property
    def pretrain_steps(self) -> int:
        """Steps of the low-fidelity phase."""
        return self.settings.pretrain_steps or self.settings.steps


def _first(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.name}.first")
