"""What the searches of a group left, read once for all that is said of it, and what it holds by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Minimum, Relaxation, StartsTried, VerifiedMinimum
from defectscape.sampling.site_names import pick_site
from defectscape.search.matching import Operations, host_operations
from defectscape.search.reconstruction import reconstruction, same_structures
from defectscape.search.verification_criterion import Assessment
from defectscape.settings.groups import Group
from defectscape.study.context import StudyContext
from defectscape.study.host import read_host, read_sites
from defectscape.study.minima import (
    read_assessment,
    read_minima,
    read_relaxations,
    read_starts_tried,
    read_verified,
    with_engine_s_own,
)
from defectscape.summary.schema import FoundStructure, StartsTriedRow


@dataclass(frozen=True)
class Searched:
    """Results of a group's final search.

    Attributes:
        minima: distinct minima, all charge states; those included that the engine found by itself.
        relaxations: every relaxation.
        verified: by charge state, the minima that the high-fidelity engine computed.
        assessments: by charge state, how far the ground state can be trusted.
        tried: by charge state, how many starts were tried; of no one where the number was fixed.
    """

    minima: tuple[Minimum, ...]
    relaxations: tuple[Relaxation, ...]
    verified: dict[DefectKey, tuple[VerifiedMinimum, ...]]
    assessments: dict[DefectKey, Assessment]
    tried: dict[DefectKey, StartsTried] = field(default_factory=dict)

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
        tried = read_starts_tried(context, group.name)
        return cls(every, read_relaxations(context, group.name), verified, assessments, tried)

    def tried_row(self, key: DefectKey) -> StartsTriedRow | None:
        """How the search of a charge state went on, as a row of the summary; None where the number was fixed."""
        if key not in self.tried:
            return None
        tried = self.tried[key]
        return StartsTriedRow(
            first=tried.first,
            further=tried.further,
            new_minima=tried.new_minima,
            last_new=tried.last_new,
            rested=tried.rested,
            text=tried.text,
        )


def read_searches(context: StudyContext) -> list[Searched]:
    """Those of all groups, in the study's order."""
    return [Searched.read(context, group) for group in context.groups]


def names_of(context: StudyContext, frames: Mapping[tuple[DefectKey, int], Frame]) -> dict[tuple[DefectKey, int], str]:
    """Short names of minima, by defect key and rank."""
    host, sites = read_host(context), read_sites(context)
    return {place: reconstruction(host, sites, frame).name for place, frame in frames.items()}


def found_structures(context: StudyContext, grounds: Mapping[DefectKey, Frame]) -> dict[DefectKey, FoundStructure]:
    """What the ground states hold, as rows of the summary.

    Args:
        context: a study.
        grounds: the structure of every ground state.
    """
    host, sites = read_host(context), read_sites(context)

    @cache
    def kept(defect: str | None) -> Operations:
        return host_operations(host, pick_site(sites, defect).frac_coords if defect else None)

    def operations(one: DefectKey, other: DefectKey) -> Operations:
        """Those that keep the site of one defect; between two defects all of them, which are many."""
        return kept(one.defect if one.defect == other.defect else None)

    named = {key: (frame, reconstruction(host, sites, frame)) for key, frame in grounds.items()}
    alike = same_structures(named, operations, context.study.minima.merge_rmsd_A)
    return {
        key: FoundStructure(
            name=name.name, sentence=name.sentence, plain=name.plain, same_as=[str(other) for other in alike[key]]
        )
        for key, (_, name) in named.items()
    }
