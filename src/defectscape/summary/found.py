"""What each minimum holds, by name, and which ground states ended in one structure."""

from collections.abc import Mapping
from functools import cache

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.sampling.site_names import pick_site
from defectscape.search.matching import Operations, host_operations
from defectscape.search.reconstruction import reconstruction, same_structures
from defectscape.study.context import StudyContext
from defectscape.study.host import read_host, read_sites
from defectscape.summary.schema import FoundStructure


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
