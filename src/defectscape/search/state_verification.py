"""Verification of one charge state: relaxations with the engine until its ground state is finished.

Three kinds of relaxations compete: from the model's lowest minima; from the unperturbed start, as a user would relax
it without a model; and from the structure with the lowest label so far, if it lies below all of these. The ground
state is the lowest end of all, so it is never above the plain relaxation.

Where the model erred on what it found, it has searched another surface than the engine's. A model that has learned
the new labels may then search again: what it finds competes as well.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase.calculators.calculator import CalculationFailed

from defectscape.domain.frame import Frame
from defectscape.domain.label import LabelledFrame
from defectscape.domain.minimum import PLAIN, Minimum, VerifiedMinimum
from defectscape.domain.prediction import Prediction
from defectscape.search.corrected_surface import Observation
from defectscape.search.matching import Operations, rmsd_A
from defectscape.search.surface import Surface, answers
from defectscape.search.verification import Labeller, Stepper, relax_with_engine, verify
from defectscape.search.verification_criterion import Assessment, assess, finished, next_to_verify, search_error_eV
from defectscape.settings.search import MinimaSettings, VerificationSettings

logger = logging.getLogger(__name__)

KNOWN = "lowest label, relaxed with the engine"


@dataclass(frozen=True)
class EngineStarts:
    """Structures that the engine relaxes without a minimum of the model.

    Attributes:
        plain: the unperturbed start; None where it is not relaxed.
        known: the structure with the lowest high-fidelity label so far; None without labels.
    """

    plain: Frame | None = None
    known: LabelledFrame | None = None


@dataclass(frozen=True)
class ModelSearch:
    """What a model found, and the model itself.

    Attributes:
        minima: of one defect key, the lowest first.
        surface: the model's.
        step: makes the next geometry of a relaxation with the engine, by this model's curvature.
    """

    minima: tuple[Minimum, ...]
    surface: Surface
    step: Stepper


class StateVerification:
    """The relaxations of one defect key with the engine.

    Args:
        search: the study's final search.
        starts: what else is relaxed.
        label: the engine.
        settings: budget and convergence.
        merging: when two ends are one minimum.
        operations: symmetry operations of the host's supercell to compare under.
    """

    def __init__(
        self,
        search: ModelSearch,
        starts: EngineStarts,
        label: Labeller,
        settings: VerificationSettings,
        merging: MinimaSettings,
        operations: Operations,
    ) -> None:
        self.first = self.search = search
        self.starts, self.label, self.settings = starts, label, settings
        self.merging, self.operations = merging, operations
        # After the model's minima come the plain relaxation and that of the known structure.
        self.plain_rank = len(search.minima)
        self.known_rank = self.plain_rank + 1
        self._next_rank = self.known_rank + 1
        self._minima = {minimum.rank: minimum for minimum in search.minima}
        self._steps: dict[int, Stepper] = {}
        self._turns: Counter[int] = Counter()
        self._verified: dict[int, VerifiedMinimum] = {}
        self._paths: dict[int, tuple[Observation, ...]] = {}
        self._beside: dict[int, tuple[Observation, ...]] = {}
        self._now = settings
        # Minima that were labelled and not relaxed, of the last search and of those before it.
        self._labelled_only: set[int] = set()
        self._passed: set[int] = set()

    @property
    def observations(self) -> tuple[Observation, ...]:
        """All frames that were labelled, relaxation by relaxation."""
        return tuple(item for path in self._paths.values() for item in path)

    @property
    def ends(self) -> tuple[Frame, ...]:
        """Where the relaxations ended or were left, the lowest first."""
        return tuple(item.frame for item in sorted(self._labelled(), key=lambda item: item.final_energy_eV))

    def run(self, first: Sequence[Minimum]) -> None:
        """Verify some minima, then others or the same ones further, until the ground state is finished and certain.

        Args:
            first: minima to verify in any case, in this order.
        """
        plain = [] if self.starts.plain is None else [self.plain_rank]
        self._go([*plain, *(minimum.rank for minimum in first)])

    def again(self, search: ModelSearch, last: bool = True) -> None:
        """Go on with what a model found that has learned the labels.

        A wrong model's minima are cheaper learned from than relaxed: each gets one label, and only if the model was
        right, or is the last one, its relaxation.

        Args:
            search: its minima; those where the engine's relaxations have ended are left out.
            last: whether no further model will search.
        """
        if search.minima:
            self._begin_with(search)
        else:
            # That says nothing of the surface: the error of the model before it stands.
            logger.warning("the model that learned has no minimum")
        if last or not self.may_search_again:
            self._relax(self._labelled_only)
            self._labelled_only = set()
            # What an earlier model found is left to the last search, unless it is lower than all that this one found.
            while lowest := self._passed & {self._lowest_rank}:
                self._passed -= lowest
                self._relax(lowest)

    def _begin_with(self, search: ModelSearch) -> None:
        """Label what a model found that may be the ground state."""
        new = []
        self._passed |= self._labelled_only
        self._labelled_only = set()
        relaxed = [item.frame for rank, item in self._verified.items() if rank not in self._passed]
        for minimum in search.minima:
            if all(rmsd_A(minimum.frame, end, self.operations) >= self.merging.merge_rmsd_A for end in relaxed):
                new.append(replace(minimum, rank=self._next_rank, from_unperturbed=False))
                self._next_rank += 1
        logger.info("the model that learned has %d minima, %d of them new", len(search.minima), len(new))
        self.search = replace(search, minima=tuple(new))
        self._minima |= {minimum.rank: minimum for minimum in new}
        self._now = self.settings.model_copy(update={"relax_steps": 0})
        self._go([])
        self._now = self.settings

    @property
    def search_error_eV(self) -> float:
        """How wrong the last search's model was about what it found, eV; 0 where it found nothing new that is low."""
        if self.search is self.first:
            return search_error_eV(self._labelled())
        ranks = {minimum.rank for minimum in self.search.minima}
        seen = self._seen()
        return search_error_eV([item for item in seen if item.minimum.rank in ranks], seen)

    @property
    def may_search_again(self) -> bool:
        """Whether the last search's model erred more than is allowed, and there is budget to verify what comes."""
        spent = sum(self._turns.values()) >= self.settings.most_per_charge
        return bool(self._labelled()) and not spent and self.search_error_eV > self.settings.search_error_eV

    def assessment(self) -> Assessment:
        """How far the ground state can be trusted."""
        known_eV = self.starts.known.label.energy_eV if self.starts.known else math.inf
        return assess(
            self.search.minima, self._seen(), self.settings, known_eV, self.search_error_eV, self._at_ground()
        )

    def verified(self) -> tuple[VerifiedMinimum, ...]:
        """The verified minima, each with the energy that the study's own model gives it.

        An engine's own relaxation that ended at one of the model's minima is noted there.
        """
        kept = {rank: item for rank, item in self._verified.items() if rank < self.plain_rank}
        for rank, item in self._verified.items():
            if rank in kept:
                continue
            twin = next((other for other, found in kept.items() if self._same_end(item, found)), None)
            if twin is not None:
                kept[twin] = _with_start(kept[twin], item)
            elif (own := self._by(self.first.surface, item, item.minimum.frame)) is not None:
                kept[rank] = own
        return tuple(kept.values())

    def _go(self, waiting: list[int]) -> None:
        waiting = waiting or self._next()
        while waiting:
            self._turn(waiting.pop(0))
            waiting = waiting or self._next()

    def _relax(self, labelled: Iterable[int]) -> None:
        """Relax minima that were only labelled, as far as they may be the ground state and the budget lasts."""
        for rank in labelled:
            self._turns[rank] = 0
        self._go([])

    @property
    def _lowest_rank(self) -> int:
        """The rank of the lowest end so far; -1 without any."""
        lowest = min(self._labelled(), key=lambda item: item.final_energy_eV, default=None)
        return -1 if lowest is None else lowest.minimum.rank

    def _turn(self, rank: int) -> None:
        self._turns[rank] += 1
        # Steps of a relaxation repeat those of its turns before, so they go on with the model that began them.
        step = self._steps.setdefault(rank, self.search.step)
        minimum = self._minima.get(rank)
        if minimum is not None:
            # What a later turn of another relaxation finds must not change the steps that this one repeats.
            beside = self._beside.setdefault(rank, self._near(minimum.frame))
            found, path = verify(minimum, self.label, step, self._now, self._turns[rank], beside)
            self._verified[rank], self._paths[rank] = found, path
            if self._now.relax_steps < self.settings.relax_steps:
                self._labelled_only.add(rank)
            return
        is_plain = rank == self.plain_rank
        start = self.starts.plain if is_plain else (self.starts.known.frame if self.starts.known else None)
        if start is None:
            return
        steps = self._turns[rank] * self.settings.relax_steps
        path = relax_with_engine(start, self.label, step, steps, self.settings.fmax_eV_A)
        self._paths[rank] = path
        end = self._end(rank, path, PLAIN if is_plain else KNOWN)
        if end is not None:
            self._verified[rank] = end

    def _next(self) -> list[int]:
        """The rank of the relaxation that the budget is spent on next; none if there is no need, or no budget."""
        lowest_eV = min((item.final_energy_eV for item in self._verified.values()), default=math.inf)
        known = self.starts.known
        is_lower = known is not None and known.label.energy_eV < lowest_eV - self.settings.known_eV
        if is_lower and self.known_rank not in self._turns:
            return [self.known_rank]
        if not self._verified:
            return []
        return next_to_verify(self.search.minima, self._seen(), self._turns, self._now, self._at_ground())

    def _labelled(self) -> list[VerifiedMinimum]:
        return [item for item in self._verified.values() if item.final_label is not None]

    def _at_ground(self) -> frozenset[int]:
        """Ranks of other finished relaxations that ended in the minimum of the lowest end."""
        ground = self._verified.get(self._lowest_rank)
        return frozenset(
            item.minimum.rank
            for item in self._labelled()
            if ground is not None
            and item is not ground
            and finished(item, self.settings)
            and item.final_energy_eV - ground.final_energy_eV < self.merging.merge_energy_eV
            and rmsd_A(item.frame, ground.frame, self.operations) < self.merging.merge_rmsd_A
        )

    def _seen(self) -> tuple[VerifiedMinimum, ...]:
        """The verified minima as the last search's model sees them: it has learned the ends of those before.

        Those that were labelled and not relaxed are left out: the search began at them, too.
        """
        if self.search is self.first:
            return tuple(self._verified.values())
        ranks = {minimum.rank for minimum in self.search.minima}
        kept = {rank: item for rank, item in self._verified.items() if rank not in self._passed}
        return tuple(item if rank in ranks else self._learned(item) for rank, item in kept.items())

    def _learned(self, item: VerifiedMinimum) -> VerifiedMinimum:
        """A minimum that was verified before, as the last search's model sees its end."""
        return self._by(self.search.surface, replace(item, label=item.final_label), item.frame) or item

    def _by(self, surface: Surface, item: VerifiedMinimum, frame: Frame) -> VerifiedMinimum | None:
        """A verified minimum with a model's energy at a geometry; None where the model has no value there."""
        (point,) = answers(surface, [frame])
        if isinstance(point, CalculationFailed):
            return None
        minimum = replace(item.minimum, energy_eV=point.energy_eV, member_energies_eV=point.member_energies_eV)
        return replace(item, minimum=minimum)

    def _near(self, frame: Frame) -> tuple[Observation, ...]:
        """The labelled geometries of relaxations that ended at a frame's structure."""
        ends = [rank for rank, item in self._verified.items() if self._same_place(item.frame, frame)]
        return tuple(item for rank in ends for item in self._paths[rank])

    def _same_place(self, one: Frame, other: Frame) -> bool:
        """Whether each atom is where it is in the other frame: no permutation, as labels of both are used together."""
        moved = one.positions_A - other.positions_A
        return float(np.sqrt(np.mean(np.sum(moved**2, axis=1)))) < self.merging.merge_rmsd_A

    def _same_end(self, one: VerifiedMinimum, other: VerifiedMinimum) -> bool:
        apart_eV = abs(one.final_energy_eV - other.final_energy_eV)
        return apart_eV < self.merging.merge_energy_eV and self._same_place(one.frame, other.frame)

    def _end(self, rank: int, path: Sequence[Observation], note: str) -> VerifiedMinimum | None:
        """The end of a relaxation that began at no minimum of the model: the lowest that the model has a value at."""
        points = answers(self.search.surface, [frame for frame, _ in path])
        known = [
            (frame, label, point)
            for (frame, label), point in zip(path, points, strict=True)
            if not isinstance(point, CalculationFailed)
        ]
        if not known:
            logger.warning("%s: no end, since a label or the model's prior failed", note)
            return None
        frame, label, point = min(known, key=lambda item: item[1].energy_eV)
        return VerifiedMinimum(_as_minimum(rank, frame, point, note), label, frame, label, len(path) - 1)


def _as_minimum(rank: int, frame: Frame, point: Prediction, note: str) -> Minimum:
    return Minimum(
        rank,
        frame,
        point.energy_eV,
        point.member_energies_eV,
        float(np.linalg.norm(point.forces_eV_A, axis=1).max()),
        float(np.max(point.force_std_eV_A)),
        (note,),
        note == PLAIN,
    )


def _with_start(item: VerifiedMinimum, other: VerifiedMinimum) -> VerifiedMinimum:
    """A verified minimum with the starts of another one that ended there, and the lower end of both."""
    minimum = replace(
        item.minimum,
        found_from=(*item.minimum.found_from, *other.minimum.found_from),
        from_unperturbed=item.minimum.from_unperturbed or other.minimum.from_unperturbed,
    )
    lower = min((item, other), key=lambda each: each.final_energy_eV)
    return replace(item, minimum=minimum, frame=lower.frame, final_label=lower.final_label)
