"""What the searches of a group left, read once for all that is said of it."""

from dataclasses import dataclass

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Minimum, Relaxation, VerifiedMinimum
from defectscape.search.verification_criterion import Assessment
from defectscape.settings.groups import Group
from defectscape.study.context import StudyContext
from defectscape.study.minima import read_assessment, read_minima, read_relaxations, read_verified, with_engine_s_own


@dataclass(frozen=True)
class Searched:
    """Results of a group's final search.

    Attributes:
        minima: distinct minima, all charge states; those included that the engine found by itself.
        relaxations: every relaxation.
        verified: by charge state, the minima that the high-fidelity engine computed.
        assessments: by charge state, how far the ground state can be trusted.
    """

    minima: tuple[Minimum, ...]
    relaxations: tuple[Relaxation, ...]
    verified: dict[DefectKey, tuple[VerifiedMinimum, ...]]
    assessments: dict[DefectKey, Assessment]

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
        assessments = {key: read_assessment(context, group.name, key) for key in group.keys}
        minima = read_minima(context, group.name)
        every = tuple(
            minimum
            for key, items in verified.items()
            for minimum in with_engine_s_own([m for m in minima if m.frame.key == key], items)
        )
        return cls(every, read_relaxations(context, group.name), verified, assessments)


def read_searches(context: StudyContext) -> list[Searched]:
    """Those of all groups, in the study's order."""
    return [Searched.read(context, group) for group in context.groups]
