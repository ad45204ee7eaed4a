"""Configuration-coordinate stage: one diagram for each pair of adjacent charge states."""

import logging
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats, Frame
from defectscape.files.tables import write_json
from defectscape.stages.context import StudyContext
from defectscape.stages.surface import CommitteeSurface, load_committee
from defectscape.stages.thermo import GroundState, read_levels
from defectscape.thermo.ccd import Ccd, trace_ccd
from defectscape.thermo.path import configuration_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Diagram:
    """A diagram with the committee's spread along it, or why there is none.

    Attributes:
        initial, final: the two keys as text.
        ccd: the diagram, or None.
        initial_std_eV, final_std_eV: committee standard deviation of the energy above the own
            ground state, (n,), eV.
        reason: why there is no diagram; empty if there is one.
    """

    initial: str
    final: str
    ccd: Ccd | None
    initial_std_eV: Floats | None
    final_std_eV: Floats | None
    reason: str


def _spread_eV(frames: tuple[Frame, ...], origin: int, surface: CommitteeSurface) -> Floats:
    members = np.array([p.member_energies_eV for p in surface.evaluate_many(frames)])
    relative = members - members[origin]
    return np.asarray(relative.std(axis=1, ddof=1))


def _diagram(
    context: StudyContext, upper: GroundState, lower: GroundState, level_eV: float,
    surface: CommitteeSurface,
) -> Diagram:  # fmt: skip
    settings = context.study.ccd
    names = str(upper.key), str(lower.key)
    try:
        path = configuration_path(
            upper.frame, lower.frame, points=settings.points, extend=settings.extend
        )
    except ThermoError as error:
        logger.warning("no diagram: %s", error)
        return Diagram(*names, None, None, None, str(error))
    ccd = trace_ccd(path, lambda frame: surface.evaluate(frame).energy_eV, level_eV)
    start = int(np.flatnonzero(path.fractions == 0.0)[0])
    end = int(np.flatnonzero(path.fractions == 1.0)[0])
    return Diagram(
        *names, ccd, _spread_eV(path.frames_initial, start, surface),
        _spread_eV(path.frames_final, end, surface), "",
    )  # fmt: skip


def compute_diagrams(context: StudyContext) -> None:
    """Diagrams of every defect between charges that differ by one, from high to low charge."""
    found = read_levels(context.layout.energies)
    committee = load_committee(context.layout.final, context.study.training)
    surface = CommitteeSurface(committee, context.fidelity_names[1])
    limit = found.limits[0].name
    energies = {item.key: item.energy_eV for item in found.formation if item.limit == limit}
    diagrams: list[Diagram] = []
    for defect in dict.fromkeys(state.key.defect for state in found.ground_states):
        states = [state for state in found.ground_states if state.key.defect == defect]
        states.sort(key=lambda state: -state.key.charge)
        for upper, lower in pairwise(states):
            if upper.key.charge - lower.key.charge == 1:
                # Electron taken from the valence band: the level itself is the zero-phonon offset.
                level_eV = energies[lower.key] - energies[upper.key]
                diagrams.append(_diagram(context, upper, lower, level_eV, surface))
    write_json(context.layout.ccd, {"diagrams": diagrams})
