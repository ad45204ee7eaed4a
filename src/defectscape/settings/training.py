"""Training: one block for exploration, one for the final model, so that tuning one leaves the other."""

from typing import Literal

from pydantic import Field, model_validator

from defectscape.settings.base import FilePath, Settings

Strategy = Literal["heads", "high_only", "pretrain_finetune", "delta", "fidelity_embedding"]


class TrainingSettings(Settings):
    """Architecture and optimisation of a committee of charge-embedded, multi-fidelity MACE models."""

    strategy: Strategy = Field(
        "heads",
        description=(
            "How two fidelities make one model. `heads`: trained together with a readout each. `fidelity_embedding`: "
            "together with one readout and the fidelity as an embedded attribute. `pretrain_finetune`: low fidelity "
            "first, then high. `delta`: a low-fidelity model plus a model of the difference. `high_only`: without "
            "the low-fidelity labels."
        ),
    )
    committee: int = Field(ge=2, description="Members, trained alike from different seeds.")
    channels: int = Field(gt=0, description="Channels of each irrep (16 for a laptop, 128 for a GPU).")
    max_L: int = Field(1, ge=0, le=3, description="Highest order of the equivariant messages.")
    max_ell: int = Field(2, ge=1, le=4, description="Highest order of the spherical harmonics.")
    correlation: int = Field(2, ge=1, le=4, description="Body order of the products, minus one.")
    r_max_A: float = Field(5.0, gt=0, description="Radial cutoff, A.")
    layers: int = Field(2, ge=1, le=4, description="Interaction layers.")
    charge_embedding_dim: int = Field(
        16,
        gt=0,
        description="Length of the learnable charge vector, and of the fidelity's if it has one.",
    )
    foundation: FilePath | None = Field(
        None,
        description=(
            "File of a MACE foundation model to start from. It is a pickle, which runs when it is read: call "
            "`defectscape trust FILE` once. The architecture above must be the file's. None: random weights."
        ),
    )
    steps: int = Field(gt=0, description="Largest number of optimiser steps.")
    pretrain_steps: int | None = Field(
        None,
        gt=0,
        description=(
            "Largest number of optimiser steps of the low-fidelity model that `pretrain_finetune` and `delta` train "
            "first. None: as `steps`."
        ),
    )
    finetune_rate: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Peak learning rate of `pretrain_finetune`'s second part, as a share of the first.",
    )
    batch_size: int = Field(gt=0, description="Frames in a batch.")
    learning_rate: float = Field(gt=0, description="Peak learning rate of Adam (amsgrad).")
    ema_decay: float = Field(0.99, gt=0, lt=1, description="Decay of the averaged weights that are kept.")
    energy_weight: float = Field(1.0, ge=0, description="Weight of energies, per atom, in the loss.")
    forces_weight: float = Field(100.0, gt=0, description="Weight of forces in the loss.")
    high_weight: float = Field(3.0, gt=0, description="Weight of a high-fidelity frame against a low-fidelity one.")
    validate_every: int = Field(50, gt=0, description="Steps between validations.")
    patience: int = Field(gt=0, description="Validations without improvement before training stops early.")
    dtype: Literal["float64", "float32"] = Field("float64", description="Floating-point type.")
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where to train and search.")
    warm_start: bool = Field(False, description="Start each round's member from the same member of the round before.")

    @model_validator(mode="before")
    @classmethod
    def _sees_the_charge(cls, data: object) -> object:
        """Files of earlier versions may say `charge_embedding: true`, which holds always."""
        if not isinstance(data, dict) or "charge_embedding" not in data:
            return data
        if data["charge_embedding"] is not True:
            raise ValueError("charge_embedding: every network sees the charge; remove the key")
        return {name: value for name, value in data.items() if name != "charge_embedding"}

    @model_validator(mode="after")
    def _pretraining(self) -> "TrainingSettings":
        two_parts = self.strategy in ("pretrain_finetune", "delta")
        if self.pretrain_steps is not None and not two_parts:
            raise ValueError(f"pretrain_steps belongs to pretrain_finetune and delta, not to {self.strategy}")
        return self
