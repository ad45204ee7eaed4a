"""Configuration-coordinate diagrams of a study, and points of them by the engine."""

from collections.abc import Sequence
from dataclasses import dataclass

from defectscape.domain.frame import Floats, Frame
from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
from defectscape.study.context import StudyContext
from defectscape.thermo.ccd import Ccd


@dataclass(frozen=True, eq=False)
class Diagram:
    """A diagram with the committee's spread along it, or why there is none.

    Attributes:
        initial, final: the two keys as text.
        ccd: the diagram, or None.
        initial_std_eV, final_std_eV: committee standard deviation of the energy above the own
            ground state, (n,), eV.
        reason: why there is no diagram; empty if there is one.
        final_ground: the final ground state where it was found, which the path has moved and renumbered; None in files
            of earlier versions, and without a diagram.
    """

    initial: str
    final: str
    ccd: Ccd | None
    initial_std_eV: Floats | None
    final_std_eV: Floats | None
    reason: str
    final_ground: Frame | None = None


@dataclass(frozen=True)
class CurveCheck:
    """Points of one curve by engine and model, both above the curve's own ground state on the path.

    Attributes:
        key: defect and charge of the curve.
        zero: position of that ground state.
        points: positions in the diagram's list of points.
        engine_eV, model_eV: energies, eV.
        core_s: what the labels cost, core-seconds.
        failed: points that have no label.
    """

    key: str
    zero: int
    points: tuple[int, ...]
    engine_eV: tuple[float, ...]
    model_eV: tuple[float, ...]
    core_s: float
    failed: int

    @property
    def differences_eV(self) -> tuple[float, ...]:
        """Engine less model at the points, eV; zero at the ground state."""
        return tuple(e - m for e, m in zip(self.engine_eV, self.model_eV, strict=True))

    @property
    def beside_ground_state(self) -> tuple[tuple[int, float, float], ...]:
        """Point, engine and model energy (eV) of all points but the ground state, which is their zero."""
        rows = zip(self.points, self.engine_eV, self.model_eV, strict=True)
        return tuple(row for row in rows if row[0] != self.zero)


@dataclass(frozen=True)
class DiagramCheck:
    """Both curves of one diagram, named by its keys."""

    initial: CurveCheck
    final: CurveCheck


def read_diagrams(context: StudyContext) -> tuple[Diagram, ...]:
    """The diagrams by the final committee, those that could not be drawn included."""
    rows = read_json(context.layout.ccd)["diagrams"]
    return tuple(decode(Diagram, {"final_ground": None, **row}) for row in rows)


def write_diagrams(context: StudyContext, diagrams: Sequence[Diagram]) -> None:
    """Write them."""
    write_json(context.layout.ccd, {"diagrams": diagrams})


def read_diagram_checks(context: StudyContext) -> dict[tuple[str, str], DiagramCheck]:
    """The engine's points, by the keys of the two charge states."""
    checks = [decode(DiagramCheck, row) for row in read_json(context.layout.ccd_check)]
    return {(check.initial.key, check.final.key): check for check in checks}


def write_diagram_checks(context: StudyContext, checks: Sequence[DiagramCheck]) -> None:
    """Write them."""
    write_json(context.layout.ccd_check, checks)
