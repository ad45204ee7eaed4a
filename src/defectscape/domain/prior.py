"""A prior: cheap energies and forces under the model, which learns what they leave.

A network cannot know bonds that no label has shown; a Hamiltonian with the right number of electrons can. Its
energies and forces are taken off every label before training and put back wherever the model is asked.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from defectscape.domain.frame import Frame
from defectscape.domain.label import Label, LabelledFrame
from defectscape.domain.prediction import Prediction


class Prior(Protocol):
    """Energies and forces that stand under a model."""

    @property
    def name(self) -> str:
        """Its engines and their settings, as one line of JSON: kept on the card of every model trained over it."""

    def evaluate_many(self, frames: Sequence[Frame]) -> Sequence[Label]:
        """Energy and forces of each frame in its own charge and spin, in their order.

        Raises:
            CalculationFailed: ASE's, for a frame that has none, with the reason.
        """


class NoPrior:
    """Zero in the place of a prior: what a model trained over that prior says by itself.

    Args:
        name: of the prior that it stands for.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def evaluate_many(self, frames: Sequence[Frame]) -> list[Label]:
        """Zero energy and forces for each frame."""
        return [Label(0.0, np.zeros((len(frame), 3))) for frame in frames]


def taken_off(item: LabelledFrame, prior: Label) -> LabelledFrame:
    """A labelled frame with the prior taken off its energy and forces: what the model is to learn."""
    energy_eV = item.label.energy_eV - prior.energy_eV
    return LabelledFrame(item.frame, Label(energy_eV, item.label.forces_eV_A - prior.forces_eV_A), item.fidelity)


def put_back(prediction: Prediction, prior: Label) -> Prediction:
    """A prediction of what was learned with the prior put back; the members' spread stays as it is."""
    return Prediction(
        prediction.energy_eV + prior.energy_eV,
        tuple(member + prior.energy_eV for member in prediction.member_energies_eV),
        prediction.forces_eV_A + prior.forces_eV_A,
        prediction.force_std_eV_A,
    )
