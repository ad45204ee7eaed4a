"""What is kept of a training: curves, the best step, and why it stopped."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from defectscape.domain.errors import ModelError


@dataclass(frozen=True)
class Validation:
    """One validation of the averaged weights.

    Attributes:
        step: optimiser steps taken.
        loss: mean training loss since the validation before.
        learning_rate: at that step.
        score: what is minimised over the training, eV/A (see ``phase.py``).
        energy_rmse_meV_atom: per fidelity with validation frames, the mean error of each charge
            removed (its constant is refitted at the end), meV/atom.
        forces_rmse_meV_A: per fidelity with validation frames, per component, meV/A.
    """

    step: int
    loss: float
    learning_rate: float
    score: float
    energy_rmse_meV_atom: dict[str, float]
    forces_rmse_meV_A: dict[str, float]


@dataclass(frozen=True)
class TrainingHistory:
    """A finished training of one member.

    Attributes:
        phase: what was optimised; a strategy of two phases gives the second.
        member: index in the committee.
        seed: its seed.
        fidelities: heads, low first.
        train_frames: training frames per fidelity.
        valid_frames: validation frames per fidelity.
        parameters: number of trainable parameters.
        validations: in order.
        best_step: step whose averaged weights were kept.
        best_score: its score, eV/A.
        energy_rmse_meV_atom, forces_rmse_meV_A: of the model as written, on the validation frames,
            per fidelity, nothing removed.
        stop_reason: ``step limit`` or ``no improvement``.
        seconds: wall time, over all restarts.
        core_s: processor time, over all restarts, s; None in files of earlier versions.
        earlier: the phases before, first to last.
    """

    phase: str
    member: int
    seed: int
    fidelities: tuple[str, ...]
    train_frames: dict[str, int]
    valid_frames: dict[str, int]
    parameters: int
    validations: tuple[Validation, ...]
    best_step: int
    best_score: float
    energy_rmse_meV_atom: dict[str, float]
    forces_rmse_meV_A: dict[str, float]
    stop_reason: str
    seconds: float
    core_s: float | None = None
    earlier: tuple["TrainingHistory", ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "TrainingHistory":
        """From what ``to_json`` gave.

        Raises:
            ModelError: if fields are missing or unknown.
        """
        try:
            points = tuple(Validation(**point) for point in content["validations"])
            changes = {
                "validations": points,
                "fidelities": tuple(content["fidelities"]),
                "earlier": tuple(cls.from_json(part) for part in content["earlier"]),
            }
            return cls(**{**content, **changes})
        except (KeyError, TypeError) as error:
            remedy = "It is not a training history of this version; train again"
            raise ModelError("training history", error, remedy) from error

    @property
    def all_core_s(self) -> float:
        """Processor time of all phases, as far as it is known, s."""
        return sum(phase.core_s or 0.0 for phase in (*self.earlier, self))

    def curve(self, name: str, fidelity: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and a validation error, ``energy_rmse_meV_atom`` or ``forces_rmse_meV_A``."""
        points = [point for point in self.validations if fidelity in getattr(point, name)]
        steps = np.array([point.step for point in points])
        return steps, np.array([getattr(point, name)[fidelity] for point in points])
