"""What an engine is: something that computes the label of a frame, and how it tells of failure."""

from dataclasses import dataclass
from typing import Protocol

from defectscape.domain.frame import Frame
from defectscape.domain.label import Label


@dataclass(frozen=True)
class Rung:
    """One way of running the engine; a ladder's later rungs are slower and more robust.

    A rung changes how the solution is reached, never which problem is solved: labels of all rungs
    of an engine are labels of the same level of theory.
    """

    name: str
    description: str


class CalculationFailed(Exception):
    """One calculation gave no label.

    Args:
        reason: why, in a few words; it goes into the record.
        hopeless: whether no other rung of the ladder can help.
    """

    def __init__(self, reason: str, *, hopeless: bool = False) -> None:
        self.reason = " ".join(reason.split())
        self.hopeless = hopeless
        super().__init__(self.reason)


class Engine(Protocol):
    """An electronic structure code with all its settings."""

    @property
    def name(self) -> str:
        """Its name, part of every label's key."""

    @property
    def version(self) -> str:
        """Version of its package, kept in every record."""

    @property
    def settings_json(self) -> str:
        """The settings that change a label, canonical JSON, part of every label's key."""

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """The rungs, at least one; the first is as configured."""

    def compute(self, frame: Frame, rung: int) -> Label:
        """Energy and forces of a frame, a function of the frame and the rung alone.

        Raises:
            CalculationFailed: if this frame has no label on this rung.
            LabelError: if a number came out that is not finite; counts as a failure.
            EngineError: if the engine cannot run at all.
        """
