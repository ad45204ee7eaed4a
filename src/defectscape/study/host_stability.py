"""The test of a study's host: what became of distortions of the perfect supercell."""

from dataclasses import dataclass

from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
from defectscape.search.host_stability import HostEnd, LowerStructure
from defectscape.study.context import StudyContext
from defectscape.study.labels import Outcome


@dataclass(frozen=True, eq=False)
class HostStability:
    """What the test found.

    Attributes:
        ends: of each distortion.
        curvature_eV_A2: the lowest curvature along a displacement of the supercell, eV/A^2; None where it was not
            measured.
        not_measured: why, in words; empty where it was.
        host_fmax_eV_A: largest force on an atom of the perfect supercell by the high-fidelity engine, eV/A.
        lower: a structure that is lower than the host; None if none is known.
        low, high: the labels that it took, those of the perfect supercell among them.
    """

    ends: tuple[HostEnd, ...]
    curvature_eV_A2: float | None
    not_measured: str
    host_fmax_eV_A: float
    lower: LowerStructure | None
    low: tuple[Outcome, ...]
    high: tuple[Outcome, ...]

    @property
    def tested(self) -> tuple[HostEnd, ...]:
        """The distortions that say anything."""
        return tuple(end for end in self.ends if end.tested)


def read_host_stability(context: StudyContext) -> HostStability | None:
    """What the test of the host wrote; None for a study without one."""
    if context.study.host.stability is None:
        return None
    found: HostStability = decode(HostStability, read_json(context.layout.host_stability))
    return found


def write_host_stability(context: StudyContext, found: HostStability) -> None:
    """Write it."""
    write_json(context.layout.host_stability, found)
