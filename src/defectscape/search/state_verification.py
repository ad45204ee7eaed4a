"""Verification of one charge state: relaxations with the engine until its ground state is finished.

Three kinds of relaxations compete: from the model's lowest minima; from the unperturbed start, as a user would relax
it without a model; and from the structure with the lowest label so far, if it lies below all of these. The ground
state is the lowest end of all, so it is never above the plain relaxation.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from ase.calculators.calculator import CalculationFailed

from defectscape.domain.frame import Frame
from defectscape.domain.label import LabelledFrame
from defectscape.domain.minimum import PLAIN, Minimum, VerifiedMinimum
from defectscape.domain.prediction import Prediction
from defectscape.search.corrected_surface import Observation
from defectscape.search.surface import Surface, answers
from defectscape.search.verification import Labeller, Stepper, relax_with_engine, verify
from defectscape.search.verification_criterion import next_to_verify
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


@dataclass
class StateVerification:
    """The relaxations of one defect key with the engine.

    Attributes:
        minima: all that the search found.
        starts: what else is relaxed.
        label: the engine.
        surface: the model's, which made the minima.
        step: makes the next geometry of a relaxation.
        settings: budget and convergence.
        merging: when two ends are one minimum.
    """

    minima: Sequence[Minimum]
    starts: EngineStarts
    label: Labeller
    surface: Surface
    step: Stepper
    settings: VerificationSettings
    merging: MinimaSettings
    _turns: Counter[int] = field(default_factory=Counter)
    _verified: dict[int, VerifiedMinimum] = field(default_factory=dict)
    _paths: dict[int, tuple[Observation, ...]] = field(default_factory=dict)
    _beside: dict[int, tuple[Observation, ...]] = field(default_factory=dict)

    @property
    def plain_rank(self) -> int:
        """Rank of the plain relaxation: after those of the model's minima."""
        return 1 + max((minimum.rank for minimum in self.minima), default=-1)

    def run(self, first: Sequence[Minimum]) -> tuple[tuple[VerifiedMinimum, ...], tuple[Observation, ...]]:
        """Verify some minima, then others or the same ones further, until the ground state is finished and certain.

        Args:
            first: minima to verify in any case, in this order.

        Returns:
            The verified minima, and all labelled frames, relaxation by relaxation.
        """
        plain = [] if self.starts.plain is None else [self.plain_rank]
        waiting = [*plain, *(minimum.rank for minimum in first)]
        while waiting:
            self._turn(waiting.pop(0))
            waiting = waiting or self._next()
        observations = tuple(item for path in self._paths.values() for item in path)
        return self._merged(), observations

    def _turn(self, rank: int) -> None:
        self._turns[rank] += 1
        turns = self._turns[rank]
        minimum = next((minimum for minimum in self.minima if minimum.rank == rank), None)
        if minimum is not None:
            # What a later turn of another relaxation finds must not change the steps that this one repeats.
            beside = self._beside.setdefault(rank, self._near(minimum.frame))
            found, path = verify(minimum, self.label, self.step, self.settings, turns, beside)
            self._verified[rank], self._paths[rank] = found, path
            return
        is_plain = rank == self.plain_rank
        start = self.starts.plain if is_plain else (self.starts.known.frame if self.starts.known else None)
        if start is None:
            return
        steps = turns * self.settings.relax_steps
        path = relax_with_engine(start, self.label, self.step, steps, self.settings.fmax_eV_A)
        self._paths[rank] = path
        end = self._end(rank, path, is_plain)
        if end is not None:
            self._verified[rank] = end

    def _near(self, frame: Frame) -> tuple[Observation, ...]:
        """The labelled geometries of relaxations that ended at a frame's structure."""
        ends = [rank for rank, item in self._verified.items() if self._same_place(item.frame, frame)]
        return tuple(item for rank in ends for item in self._paths[rank])

    def _same_place(self, one: Frame, other: Frame) -> bool:
        """Whether each atom is where it is in the other frame: no permutation, as labels of both are used together."""
        moved = one.positions_A - other.positions_A
        return float(np.sqrt(np.mean(np.sum(moved**2, axis=1)))) < self.merging.merge_rmsd_A

    def _end(self, rank: int, path: Sequence[Observation], is_plain: bool) -> VerifiedMinimum | None:
        """The end of a relaxation that began at no minimum of the model: None where the model has no value."""
        known = []
        for (frame, label), point in zip(path, answers(self.surface, [frame for frame, _ in path]), strict=True):
            if not isinstance(point, CalculationFailed):
                known.append((frame, label, point))
        if not known:
            note = PLAIN if is_plain else KNOWN
            logger.warning("%s: no end of the relaxation '%s': a label or the model failed", self._key(), note)
            return None
        frame, label, point = min(known, key=lambda item: item[1].energy_eV)
        minimum = _as_minimum(rank, frame, point, PLAIN if is_plain else KNOWN, is_plain)
        return VerifiedMinimum(minimum, label, frame, label, len(path) - 1)

    def _key(self) -> str:
        frames = [f for f in (self.starts.plain, *(minimum.frame for minimum in self.minima)) if f is not None]
        return str(frames[0].key) if frames else "?"

    def _next(self) -> list[int]:
        """The rank of the relaxation that the budget is spent on next; none if there is no need, or no budget."""
        if not self._verified:
            return []
        lowest_eV = min(item.final_energy_eV for item in self._verified.values())
        known = self.starts.known
        rank = self.plain_rank + 1
        if known is not None and rank not in self._turns and known.label.energy_eV < lowest_eV - self.settings.known_eV:
            return [rank]
        return next_to_verify(self.minima, tuple(self._verified.values()), self._turns, self.settings)

    def _merged(self) -> tuple[VerifiedMinimum, ...]:
        """The verified minima; an engine's own relaxation that ended at one of the model's is noted there."""
        kept = {rank: item for rank, item in self._verified.items() if rank < self.plain_rank}
        for rank, item in self._verified.items():
            if rank in kept or rank < self.plain_rank:
                continue
            twin = next((other for other, found in kept.items() if self._same_end(item, found)), None)
            if twin is None:
                kept[rank] = item
            else:
                kept[twin] = _with_start(kept[twin], item)
        return tuple(kept.values())

    def _same_end(self, one: VerifiedMinimum, other: VerifiedMinimum) -> bool:
        apart_eV = abs(one.final_energy_eV - other.final_energy_eV)
        return apart_eV < self.merging.merge_energy_eV and self._same_place(one.frame, other.frame)


def _as_minimum(rank: int, frame: Frame, point: Prediction, note: str, from_unperturbed: bool) -> Minimum:
    return Minimum(
        rank,
        frame,
        point.energy_eV,
        point.member_energies_eV,
        float(np.linalg.norm(point.forces_eV_A, axis=1).max()),
        float(np.max(point.force_std_eV_A)),
        (note,),
        from_unperturbed,
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
