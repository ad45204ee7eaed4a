"""What the searches of a group left, read once for all that is said of it."""

from dataclasses import dataclass

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import LabelledFrame
from defectscape.domain.minimum import Minimum, Relaxation, VerifiedMinimum
from defectscape.settings.groups import Group
from defectscape.study.context import StudyContext
from defectscape.study.labels import lowest_known
from defectscape.study.minima import read_minima, read_relaxations, read_verified


@dataclass(frozen=True)
class Searched:
    """Results of a group's final search.

    Attributes:
        minima: distinct minima, all charge states.
        relaxations: every relaxation.
        verified: by charge state, the minima that the high-fidelity engine computed.
        lowest_known: by charge state, the structure with the lowest high-fidelity label.
    """

    minima: tuple[Minimum, ...]
    relaxations: tuple[Relaxation, ...]
    verified: dict[DefectKey, tuple[VerifiedMinimum, ...]]
    lowest_known: dict[DefectKey, LabelledFrame]

    def structures(self) -> dict[tuple[DefectKey, int], Frame]:
        """Structures of all minima by key and rank, the verified geometry where there is one."""
        verified = {
            (key, item.minimum.rank): item.frame
            for key, items in self.verified.items()
            for item in items
            if item.final_label is not None
        }
        keys = [(minimum.frame.key, minimum.rank, minimum.frame) for minimum in self.minima]
        return {(key, rank): verified.get((key, rank), frame) for key, rank, frame in keys}

    @classmethod
    def read(cls, context: StudyContext, group: Group) -> "Searched":
        verified = {key: read_verified(context, group.name, key) for key in group.keys}
        known = lowest_known(context, group.name, context.study.exploration.rounds)
        return cls(read_minima(context, group.name), read_relaxations(context, group.name), verified, known)


def read_searches(context: StudyContext) -> list[Searched]:
    """Those of all groups, in the study's order."""
    return [Searched.read(context, group) for group in context.groups]
