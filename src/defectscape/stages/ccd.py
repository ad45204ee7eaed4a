"""Configuration-coordinate stage: one diagram for each transition between adjacent charge states."""

import logging
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from ase.calculators.calculator import CalculationFailed

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats, Frame
from defectscape.domain.keys import DefectKey
from defectscape.settings.ccd import ChargePair
from defectscape.study.committees import CommitteeSurface, load_committee
from defectscape.study.context import StudyContext
from defectscape.study.diagrams import Diagram, write_diagrams
from defectscape.study.levels import GroundState, read_levels
from defectscape.thermo.ccd import trace_ccd
from defectscape.thermo.path import configuration_path

logger = logging.getLogger(__name__)


def _spread_eV(frames: tuple[Frame, ...], origin: int, surface: CommitteeSurface) -> Floats:
    members = np.array([p.member_energies_eV for p in surface.evaluate_many(frames)])
    relative = members - members[origin]
    return np.asarray(relative.std(axis=1, ddof=1))


def _diagram(
    context: StudyContext, initial: GroundState, final: GroundState, offset_eV: float, surface: CommitteeSurface
) -> Diagram:
    settings = context.study.ccd
    names = str(initial.key), str(final.key)
    try:
        path = configuration_path(initial.frame, final.frame, points=settings.points, extend=settings.extend)
    except ThermoError as error:
        logger.warning("no diagram: %s", error)
        return Diagram(*names, None, None, None, str(error))
    # A curve with a hole has no fit that could be trusted, so one geometry without a value costs its diagram.
    try:
        ccd = trace_ccd(path, lambda frame: surface.evaluate(frame).energy_eV, offset_eV)
    except CalculationFailed as error:
        logger.warning("no diagram of %s and %s: %s", *names, error)
        return Diagram(*names, None, None, None, str(error))
    start = int(np.flatnonzero(path.fractions == 0.0)[0])
    end = int(np.flatnonzero(path.fractions == 1.0)[0])
    spreads = _spread_eV(path.frames_initial, start, surface), _spread_eV(path.frames_final, end, surface)
    return Diagram(*names, ccd, *spreads, "", final.frame)


def chosen_pairs(
    states: Sequence[GroundState], pairs: Sequence[ChargePair] | None
) -> Iterator[tuple[GroundState, GroundState]]:
    """The ground states before and after each transition: those asked for, or all between neighbours."""
    by_key = {state.key: state for state in states}
    if pairs is not None:
        for pair in pairs:
            ends = [DefectKey(pair.defect, charge) for charge in (pair.initial, pair.final)]
            missing = [str(key) for key in ends if key not in by_key]
            if missing:
                logger.warning("no diagram: the search found no minimum of %s", ", ".join(missing))
                continue
            yield by_key[ends[0]], by_key[ends[1]]
        return
    for defect in dict.fromkeys(state.key.defect for state in states):
        own = sorted((state for state in states if state.key.defect == defect), key=lambda state: -state.key.charge)
        for upper, lower in pairwise(own):
            if upper.key.charge - lower.key.charge == 1:
                yield upper, lower


def compute_diagrams(context: StudyContext) -> None:
    """Diagrams of the study's transitions, by the final committee."""
    found = read_levels(context)
    committee = load_committee(context, context.layout.final, context.study.training)
    surface = CommitteeSurface(committee, context.fidelity_names[1])
    limit = found.limits[0].name
    energies = {item.key: item.energy_eV for item in found.formation if item.limit == limit}
    diagrams = [
        # With the Fermi level at the VBM the offset is the difference of the formation energies.
        _diagram(context, initial, final, energies[final.key] - energies[initial.key], surface)
        for initial, final in chosen_pairs(found.ground_states, context.study.ccd.pairs)
    ]
    write_diagrams(context, diagrams)
