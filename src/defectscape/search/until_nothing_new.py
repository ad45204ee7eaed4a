"""A search that goes on, batch by batch, until further starts bring no new low minimum.

Every kind of start has its turn, and every start a seed of its own. A charge state rests after so many batches in a
row without a new low minimum. It goes on where another charge state finds one that it has not tried: what one charge
state finds may be the ground state of the next.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Minimum, Relaxation, StartsTried
from defectscape.domain.seeds import derive_rng, derive_seed
from defectscape.sampling.further_starts import FurtherSampling
from defectscape.search.global_search import kicked, snapshots
from defectscape.search.matching import Operations, rmsd_A
from defectscape.search.merging import are_one, low_minima, merge
from defectscape.search.relaxation import nudged, relax_all
from defectscape.search.surface import Surface
from defectscape.settings.search import DynamicsSettings, MinimaSettings, SearchSettings, UntilNothingNewSettings

logger = logging.getLogger(__name__)

Kind = Literal["distortion", "hop", "recharged", "rattle", "quench", "off site"]
KINDS: tuple[Kind, ...] = ("distortion", "hop", "recharged", "rattle", "quench", "off site")
"""In this order, one of each in turn."""


@dataclass
class FurtherStarts:
    """Makes them.

    Attributes:
        sampling: those that need no minimum.
        surface: for the dynamics before a quench.
        limits: of the search; dynamics end where a relaxation would.
        settings: kicks and dynamics.
        centre: fractional coordinates of the defect, (3,).
        operations: of the host, to tell which minima of other charge states are the same.
        same_A: RMSD below which they are, A.
        stage: which search it is: searches of several rounds hop to other places.
        recharged: structures of other charge states that were tried in this one.
    """

    sampling: FurtherSampling
    surface: Surface
    limits: SearchSettings
    settings: UntilNothingNewSettings
    centre: Floats
    operations: Operations
    same_A: float
    stage: str
    recharged: list[Frame] = field(default_factory=list)
    _turn: int = 0
    _made: dict[Kind, int] = field(default_factory=dict)

    @property
    def key(self) -> DefectKey:
        """Whose starts they are."""
        return DefectKey(self.sampling.site.name, self.sampling.charge)

    def batch(self, count: int, low: Sequence[Minimum], others: Sequence[Frame]) -> list[Frame]:
        """The next starts.

        Args:
            count: how many.
            low: low minima of this charge state, where hops and quenches begin.
            others: low minima of the other charge states.

        Returns:
            Fewer, down to none, if every kind in turn had nothing left.
        """
        starts: list[Frame] = []
        idle = 0
        while len(starts) < count and idle < len(KINDS):
            kind = KINDS[self._turn % len(KINDS)]
            self._turn += 1
            start = self._start(kind, low, others)
            idle = 0 if start is not None else idle + 1
            starts += [] if start is None else [start]
        return starts

    def untried(self, count: int, low: Sequence[Minimum], others: Sequence[Frame]) -> list[Frame]:
        """Minima of other charge states, recharged, that were not tried in this one; arguments as of ``batch``.

        Where this charge state has a minimum of that structure, there is nothing to try.
        """
        found: list[Frame] = []
        for frame in others:
            if len(found) == count:
                break
            if not self._is_known(frame, [*self.recharged, *(minimum.frame for minimum in low)]):
                self.recharged.append(frame)
                note = f"further: minimum of {frame.key}, recharged"
                start = frame.recharged(
                    self.key.charge, origin=Origin.START, note=note, multiplicity=self.sampling.multiplicity
                )
                # Symmetry may hold it on a saddle point of this charge state.
                found.append(nudged(start, derive_seed(self.sampling.seed, "recharged", start.frame_id)))
        return found

    def _is_known(self, frame: Frame, known: Sequence[Frame]) -> bool:
        if any(np.array_equal(frame.positions_A, other.positions_A) for other in known):
            return True
        return any(rmsd_A(frame, other, self.operations) < self.same_A for other in known)

    def _start(self, kind: Kind, low: Sequence[Minimum], others: Sequence[Frame]) -> Frame | None:
        if kind == "recharged":
            return next(iter(self.untried(1, low, others)), None)
        number = self._made.get(kind, 0)
        self._made[kind] = number + 1
        if kind == "distortion":
            return self.sampling.distortion(number)
        if kind == "rattle":
            return self.sampling.rattle(number)
        if kind == "off site":
            return self.sampling.off_site(number)
        if not low:
            return None
        begin = low[number % len(low)].frame
        return self._hop(begin, number) if kind == "hop" else self._quench(begin, number)

    def _hop(self, begin: Frame, number: int) -> Frame:
        rng = derive_rng(self.sampling.seed, "further hop", self.stage, self.key, number)
        step_A, radius_A = self.settings.hop_step_A, self.settings.hop_radius_A
        return kicked(begin, step_A, radius_A, self.centre, rng, f"further: hop {number + 1}")

    def _quench(self, begin: Frame, number: int) -> Frame | None:
        if not self.settings.quench_steps:
            return None
        rng = derive_rng(self.sampling.seed, "further quench", self.stage, self.key, number)
        dynamics = DynamicsSettings(
            temperature_K=self.settings.quench_temperature_K, steps=self.settings.quench_steps, snapshots=1
        )
        for frame in snapshots(begin, self.surface, dynamics, self.limits, rng):
            return frame.moved(
                frame.positions_A, origin=Origin.START, note=f"further: quench {number + 1}, {frame.note}"
            )
        return None


@dataclass
class _Charge:
    """A charge state that is searched."""

    starts: FurtherStarts
    settings: UntilNothingNewSettings
    found: list[Relaxation]
    minima: tuple[Minimum, ...]
    first: int
    further: int = 0
    new_minima: int = 0
    last_new: int = 0
    quiet: int = 0
    exhausted: bool = False
    under_way: list[Frame] = field(default_factory=list)

    @property
    def low(self) -> list[Minimum]:
        return low_minima(self.minima, self.settings.window_eV)

    @property
    def rests(self) -> bool:
        return self.exhausted or self.quiet >= self.settings.quiet_batches

    def next(self, others: Sequence[Frame]) -> list[Frame]:
        """The next batch; of one that rests, only untried minima of other charge states."""
        count = min(self.settings.batch, self.settings.at_most - self.further)
        if count <= 0:
            return []
        make = self.starts.untried if self.rests else self.starts.batch
        starts = make(count, self.low, others)
        self.exhausted = self.exhausted or not (starts or self.rests)
        return starts

    def learn(self, relaxed: Sequence[Relaxation], operations: Operations, settings: MinimaSettings) -> None:
        """Take a batch's relaxations up, and say what they brought."""
        self.found += relaxed
        before, self.minima = self.minima, merge(self.found, operations, settings)
        new = [m for m in self.low if not any(are_one(m, known, operations, settings) for known in before)]
        ends = {relaxation.final.frame_id: place for place, relaxation in enumerate(relaxed, start=1)}
        for minimum in new:
            self.new_minima += 1
            self.last_new = max(self.last_new, self.further + ends.get(minimum.frame.frame_id, len(relaxed)))
            logger.info("%s: new low minimum, %.4f eV, from %s", self.starts.key, minimum.energy_eV, minimum.found_from)
        self.further += len(relaxed)
        self.quiet = 0 if new else self.quiet + 1

    def outcome(self) -> StartsTried:
        return StartsTried(self.starts.key, self.first, self.further, self.new_minima, self.last_new, self.rests)


def search_on(
    found: Sequence[Relaxation],
    makers: Sequence[FurtherStarts],
    surface: Surface,
    search: SearchSettings,
    settings: UntilNothingNewSettings,
    minima: MinimaSettings,
    operations: Operations,
) -> tuple[tuple[Relaxation, ...], tuple[StartsTried, ...]]:
    """Relax further starts until a batch after another brings no new low minimum, or the limit is reached.

    Args:
        found: relaxations so far, of all charge states of one defect.
        makers: of the further starts, one for each charge state.
        surface: the energies and forces.
        search: limits of a relaxation.
        settings: when it ends.
        minima: when two minima are one.
        operations: symmetry operations of the host's supercell to compare under.

    Returns:
        The further relaxations in the order of their starts, and how it went in every charge state.
    """
    charges = []
    for maker in makers:
        own = [relaxation for relaxation in found if relaxation.start.key == maker.key]
        charges.append(_Charge(maker, settings, own, merge(own, operations, minima), len(own)))
    more: list[Relaxation] = []
    while True:
        low = {charge.starts.key: [minimum.frame for minimum in charge.low] for charge in charges}
        for charge in charges:
            others = [frame for key, frames in low.items() if key != charge.starts.key for frame in frames]
            charge.under_way = charge.next(others)
        starts = [start for charge in charges for start in charge.under_way]
        if not starts:
            break
        relaxed = relax_all(starts, surface, search)
        more += relaxed
        for charge in charges:
            own = [relaxation for relaxation in relaxed if relaxation.start.key == charge.starts.key]
            if own:
                charge.learn(own, operations, minima)
    outcomes = tuple(charge.outcome() for charge in charges)
    for outcome in outcomes:
        logger.info("%s: %s", outcome.key, outcome.text)
    return tuple(more), outcomes
