"""What the search needs of a potential-energy surface, whoever provides it."""

from collections.abc import Sequence
from typing import Protocol

from ase.calculators.calculator import CalculationFailed

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


def answers(surface: Surface, frames: Sequence[Frame]) -> Sequence[Prediction | CalculationFailed]:
    """The surface at each of the frames, or why it has no value there, in their order.

    If a batch fails, its frames are evaluated one by one: a failure belongs to its frame, and to no other.
    """
    if not frames:
        return []
    try:
        return surface.evaluate_many(frames)
    except CalculationFailed as failure:
        if len(frames) == 1:
            return [failure]
        return [answer for frame in frames for answer in answers(surface, [frame])]
