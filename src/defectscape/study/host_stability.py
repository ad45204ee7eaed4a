"""The test of a study's host: what became of distortions of the perfect supercell, and when one is lower."""

from dataclasses import dataclass

from defectscape.domain.frame import Frame
from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
from defectscape.search.description import UNCHANGED_A
from defectscape.search.matching import identity, match
from defectscape.study.context import StudyContext
from defectscape.study.labels import Outcome

SOFT_EV_A2 = -0.05
"""Below this curvature the perfect supercell is no minimum: noise in the forces gives less."""

CAME_BACK = "came back"
"""Reason of a relaxation that ended next to the crystal, above it."""


@dataclass(frozen=True)
class HostEnd:
    """Where one distortion of the perfect supercell ended.

    Attributes:
        start: the distortion, in words.
        steps: relaxation steps.
        reason: ``came back``, ``relaxed``, ``step limit``, or why there is no end.
        moved_A: largest displacement of an atom from its place in the crystal, A.
        low_eV, high_eV: energy above the perfect supercell at either fidelity, eV per supercell; None where it was
            not asked.
    """

    start: str
    reason: str
    steps: int
    moved_A: float | None
    low_eV: float | None
    high_eV: float | None

    @property
    def tested(self) -> bool:
        """Whether it says anything of the crystal."""
        return self.low_eV is not None or self.high_eV is not None


@dataclass(frozen=True, eq=False)
class LowerStructure:
    """A structure of the crystal that is lower than the host.

    Attributes:
        start: the distortion that led there, in words.
        frame: the structure, in the host's supercell.
        below_eV: how far it is below the perfect supercell by the high-fidelity engine, eV per supercell.
        moved_A: as in ``HostEnd``.
    """

    start: str
    frame: Frame
    below_eV: float
    moved_A: float


def moved_A(frame: Frame, perfect: Frame) -> float:
    """Largest displacement of an atom from its place in the crystal, drift removed, A.

    The crystal is its own image under each of its symmetry operations: the smallest distance under all of them is
    that under one.
    """
    return match(perfect, frame, identity(perfect.cell_A)).max_displacement_A


def is_lower(above_eV: float, displacement_A: float, tolerance_eV: float) -> bool:
    """Whether a structure is another one than the crystal, and below it.

    Args:
        above_eV: its energy above the perfect supercell, relaxed within its symmetry, eV.
        displacement_A: as ``moved_A`` says.
        tolerance_eV: what counts as below, eV.
    """
    return above_eV < -tolerance_eV and displacement_A >= UNCHANGED_A


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
