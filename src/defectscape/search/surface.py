"""What the search needs of a potential-energy surface, whoever provides it."""

from collections.abc import Sequence
from typing import Protocol

from defectscape.domain.frame import Frame
from defectscape.domain.prediction import Prediction


class Surface(Protocol):
    """Energies and forces at one fidelity, for any charge state.

    Either method may raise ASE's ``CalculationFailed``; the reason then becomes that of the relaxation.
    """

    def evaluate(self, frame: Frame) -> Prediction:
        """The surface at a frame, in the frame's own charge state."""
        ...

    def evaluate_many(self, frames: Sequence[Frame]) -> Sequence[Prediction]:
        """The surface at each of the frames, in their order; charges and sizes may be mixed."""
        ...
