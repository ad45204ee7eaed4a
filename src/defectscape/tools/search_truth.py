"""The search against the truth: starts relaxed with an engine itself, all of them or some.

That is what a user would do without this package, and for a cheap engine it can be done. Both searches
end with structures that the engine relaxed to the same convergence, so they can be compared: whose ground
state is lower, what each missed, how far the reported levels are off, and what each cost. Where the high
fidelity is too dear for that, the low one relaxes, and the high one judges the two lowest minima.
"""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from defectscape.domain.errors import SearchError
from defectscape.domain.family import UNPERTURBED
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Minimum, Relaxation
from defectscape.search.matching import Operations, rmsd_A
from defectscape.search.merging import merge
from defectscape.settings.groups import Group, exploration_groups
from defectscape.study.context import StudyContext
from defectscape.study.frames import read_starts
from defectscape.study.host import site_operations
from defectscape.study.levels import GroundState, read_levels
from defectscape.study.minima import read_verified
from defectscape.tools.direct_relaxations import DirectEnd, DirectSearch, ends_of
from defectscape.tools.recovery import IDENTIFIED_A
from defectscape.tools.surfaces import EngineSurface

logger = logging.getLogger(__name__)

RIGHT_EV = 0.01
"""An energy this close to the lowest is that of the ground state."""


@dataclass(frozen=True)
class KeyTruth:
    """One defect and charge.

    Attributes:
        key: defect key.
        starts, converged: direct relaxations tried and converged.
        right_starts: how many of them end within 10 meV of the lowest minimum of both searches.
        failures: reasons of the others, with their numbers.
        calls, core_s: engine calls of the direct relaxations, and their processor time, s.
        direct_minima, our_minima: distinct minima after relaxation with the engine.
        missed_by_us, missed_by_direct: how many of the other's minima each has not, within the window; None
            where only some starts, and our ground state alone, were relaxed.
        reported_eV: our reported ground state above the lowest minimum of both searches, eV.
        relaxed_eV: the same after relaxing it further with the engine.
        direct_eV: the direct search's lowest above it.
        unperturbed_eV: where the unperturbed start alone ends above it; None if that failed.
        rmsd_A: our reported ground state to the lowest minimum of both searches, A.
        unperturbed_at_high_eV, direct_at_high_eV, relaxed_at_high_eV: the high level's energy of where the
            unperturbed start ends, the lowest of where any start does, and that of our ground state
            after relaxing it further, each less that of our reported ground state, eV, where the
            low level relaxed; None otherwise, or if those labels failed.
        ends: where every direct relaxation ended.
    """

    key: str
    starts: int
    converged: int
    right_starts: int
    failures: tuple[tuple[str, int], ...]
    calls: int
    core_s: float
    direct_minima: int
    our_minima: int
    missed_by_us: int | None
    missed_by_direct: int | None
    reported_eV: float
    relaxed_eV: float
    direct_eV: float
    unperturbed_eV: float | None
    rmsd_A: float
    unperturbed_at_high_eV: float | None = None
    direct_at_high_eV: float | None = None
    relaxed_at_high_eV: float | None = None
    ends: tuple[DirectEnd, ...] = ()


@dataclass(frozen=True)
class LevelTruth:
    """A transition level: as reported, as the direct search has it, and the plain relaxation's, off by eV.

    Attributes:
        defect, upper, lower: which.
        reported_eV, direct_eV, unperturbed_eV: less the level of the lowest minima of both searches; None
            where a plain relaxation failed.
    """

    defect: str
    upper: int
    lower: int
    reported_eV: float
    direct_eV: float
    unperturbed_eV: float | None


def key_truth(
    context: StudyContext,
    group: Group,
    ground: GroundState,
    operations: Operations,
    search: DirectSearch,
    starts: Sequence[Frame],
) -> KeyTruth:
    """Relax starts of one key, and our verified minima, with the engine, and compare.

    Args:
        context: a study that has run to its levels.
        group: of the key.
        ground: the reported ground state.
        operations: symmetry operations of the host that keep the site.
        search: what is relaxed.
        starts: of the group.

    Raises:
        SearchError: if nothing converged.
    """
    key = ground.key
    starts = search.of(starts, key)
    surface = EngineSurface(context, search.level, key.defect)
    direct = search.relax(starts, surface, context.study.search)
    records = surface.records()
    # Some starts say nothing of what was missed; they ask whose ground state is lower.
    every = search.starts is None
    verified = _our_frames(context, group, key, ground) if every else [ground.frame]
    second = EngineSurface(context, search.level, key.defect)
    ours = search.relax(verified, second, context.study.search)
    reported_eV = ground.energy_eV
    if search.level == "low":
        found = surface.label(ground.frame)
        reported_eV = found.energy_eV if found else math.nan
    truth = _merged(context, (*direct, *ours), operations)
    if not truth:
        raise SearchError(str(key), "no relaxation converged", "Allow more steps or larger forces")
    lowest = truth[0]
    both = [_merged(context, relaxations, operations) for relaxations in (direct, ours)]

    def at_high_eV(frame: Frame) -> float | None:
        """The high level's energy, where the low one relaxed, less that of the reported ground state."""
        if search.level == "high":
            return None
        label = EngineSurface(context, "high", key.defect).label(frame)
        return None if label is None else label.energy_eV - ground.energy_eV

    ends = ends_of(direct, lowest.energy_eV, at_high_eV)
    judged = {end.start: end.at_high_eV for end in ends if end.at_high_eV is not None}
    return KeyTruth(
        key=str(key),
        starts=len(starts),
        converged=sum(r.converged for r in direct),
        right_starts=sum(r.converged and r.energy_eV - lowest.energy_eV < RIGHT_EV for r in direct),
        failures=tuple(sorted(Counter(r.reason for r in direct if not r.converged).items())),
        calls=len(records),
        core_s=round(sum(record.core_s for record in records), 1),
        direct_minima=len(both[0]),
        our_minima=len(both[1]),
        missed_by_us=_missing(both[0], both[1], operations) if every else None,
        missed_by_direct=_missing(both[1], both[0], operations) if every else None,
        reported_eV=reported_eV - lowest.energy_eV,
        relaxed_eV=_lowest_eV(ours) - lowest.energy_eV,
        direct_eV=_lowest_eV(direct) - lowest.energy_eV,
        unperturbed_eV=_unperturbed_eV(direct, lowest.energy_eV),
        rmsd_A=rmsd_A(ground.frame, lowest.frame, operations),
        unperturbed_at_high_eV=judged.get(UNPERTURBED),
        direct_at_high_eV=min(judged.values(), default=None),
        relaxed_at_high_eV=at_high_eV(both[1][0].frame) if both[1] else None,
        ends=ends,
    )


def _our_frames(context: StudyContext, group: Group, key: DefectKey, ground: GroundState) -> list[Frame]:
    """The ground state first, then the other verified minima, as the engine left them."""
    frames = {ground.frame.frame_id: ground.frame}
    for item in read_verified(context, group.name, key):
        if item.final_label is not None:
            frames.setdefault(item.frame.frame_id, item.frame)
    return list(frames.values())


def _merged(context: StudyContext, relaxations: Sequence[Relaxation], operations: Operations) -> tuple[Minimum, ...]:
    return merge(tuple(relaxations), operations, context.study.minima)


def _lowest_eV(relaxations: Sequence[Relaxation]) -> float:
    return min((r.energy_eV for r in relaxations if r.converged), default=math.inf)


def _unperturbed_eV(direct: Sequence[Relaxation], lowest_eV: float) -> float | None:
    for relaxation in direct:
        if relaxation.start.note == UNPERTURBED and relaxation.converged:
            return relaxation.energy_eV - lowest_eV
    return None


def _missing(minima: Sequence[Minimum], among: Sequence[Minimum], operations: Operations) -> int:
    """How many minima have no counterpart closer than the criterion of identity."""
    return sum(all(rmsd_A(one.frame, other.frame, operations) >= IDENTIFIED_A for other in among) for one in minima)


def level_truths(rows: Sequence[KeyTruth]) -> tuple[LevelTruth, ...]:
    """Errors of the levels between adjacent charges: differences of the energies' errors, per electron."""
    keys = {DefectKey.parse(row.key): row for row in rows}
    found = []
    for defect in dict.fromkeys(key.defect for key in keys):
        states = sorted((k for k in keys if k.defect == defect), key=lambda key: -key.charge)
        for upper, lower in pairwise(states):
            one, other = keys[upper], keys[lower]
            electrons = upper.charge - lower.charge
            plain = None
            if one.unperturbed_eV is not None and other.unperturbed_eV is not None:
                plain = (other.unperturbed_eV - one.unperturbed_eV) / electrons
            found.append(
                LevelTruth(
                    defect,
                    upper.charge,
                    lower.charge,
                    (other.reported_eV - one.reported_eV) / electrons,
                    (other.direct_eV - one.direct_eV) / electrons,
                    plain,
                )
            )
    return tuple(found)


def all_truths(context: StudyContext, search: DirectSearch) -> tuple[KeyTruth, ...]:
    """Every key that has a ground state and is asked for.

    Raises:
        ConfigError: for a key or a start that the study does not have.
    """
    grounds = {state.key: state for state in read_levels(context).ground_states}
    groups = [(group, read_starts(context, group.name)) for group in exploration_groups(context.study)]
    search.check([frame for _, starts in groups for frame in starts])
    rows = []
    for group, starts in groups:
        operations = site_operations(context, group.defect)
        for key in group.keys:
            if key in grounds and (search.keys is None or str(key) in search.keys):
                rows.append(key_truth(context, group, grounds[key], operations, search, starts))
                logger.info("%s is compared with the truth", key)
    return tuple(rows)
