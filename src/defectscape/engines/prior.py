"""A prior made of engines: their energies and forces, side by side over several processes.

What is labelled goes into a label store of the prior's own, so that trainings, evaluations and later runs find it
there; the geometries of a search are computed and kept in memory only.
"""

import json
import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from queue import SimpleQueue

import numpy as np
from ase.calculators.calculator import CalculationFailed

from defectscape.domain.frame import Frame
from defectscape.domain.label import Label
from defectscape.engines.attempts import try_attempts
from defectscape.engines.base import Engine
from defectscape.engines.labelling import label_frame
from defectscape.engines.processor_time import clock_of
from defectscape.engines.registry import make_engine
from defectscape.settings.engine import EngineSettings, PriorSettings
from defectscape.store.labels import LabelStore, label_key
from defectscape.store.record import LabelRecord, check_label

logger = logging.getLogger(__name__)

REMEMBERED = 4096
"""Frames whose values are kept in memory: surfaces ask for the same geometries again."""


@dataclass(frozen=True)
class Term:
    """One engine of a prior.

    Attributes:
        engine: its settings.
        sign: +1, or -1 where it is taken off.
        neutral: whether it is asked in charge 0 and the lowest multiplicity, whatever the frame's charge.
    """

    engine: EngineSettings
    sign: int
    neutral: bool

    def asked(self, frame: Frame) -> Frame:
        """The frame as its engine is asked for it."""
        return frame.recharged(0, origin=frame.origin) if self.neutral else frame


def terms_of(settings: PriorSettings) -> tuple[Term, ...]:
    """The engines of a prior: one, or E_landscape + E_engine(q) - E_engine(0)."""
    state = Term(settings.engine, +1, neutral=False)
    if settings.landscape is None:
        return (state,)
    return Term(settings.landscape, +1, neutral=True), state, Term(settings.engine, -1, neutral=True)


class EnginePrior:
    """The prior of a study; see ``domain.prior.Prior``.

    Args:
        settings: its engines.
        store: where its values of labelled frames are kept; a store of its own.
        processes: how many frames are computed side by side.
    """

    def __init__(self, settings: PriorSettings, store: LabelStore, processes: int) -> None:
        self.store = store
        self.terms = terms_of(settings)
        engines = {term.engine.model_dump_json(): term.engine for term in self.terms}
        pools = {text: _Pool(engine, processes) for text, engine in engines.items()}
        self._pools = [pools[term.engine.model_dump_json()] for term in self.terms]
        self._known: OrderedDict[str, Label | str] = OrderedDict()

    @cached_property
    def name(self) -> str:
        """Its engines and all their settings that change a value, as one line of JSON."""
        parts = [
            {
                "engine": pool.engine.name,
                "settings": json.loads(pool.engine.settings_json),
                "sign": term.sign,
                "neutral": term.neutral,
            }
            for term, pool in zip(self.terms, self._pools, strict=True)
        ]
        return json.dumps(parts, sort_keys=True)

    @property
    def settings_texts(self) -> tuple[str, ...]:
        """The settings of each term that change its values, canonical JSON."""
        return tuple(pool.engine.settings_json for pool in self._pools)

    def evaluate_many(self, frames: Sequence[Frame]) -> list[Label]:
        """Energy and forces of each frame, in their order.

        Raises:
            CalculationFailed: ASE's, for the first frame that has none, with the reason.
        """
        found = self._values(frames, keep=False)
        for frame, value in zip(frames, found, strict=True):
            if isinstance(value, str):
                raise CalculationFailed(f"the prior failed for {frame.key} frame {frame.frame_id}: {value}")
        return [value for value in found if isinstance(value, Label)]

    def label_many(self, frames: Sequence[Frame]) -> list[Label | None]:
        """Energy and forces of each frame, kept in the store; None where it failed, which is recorded there."""
        found = self._values(frames, keep=True)
        failures = Counter(value for value in found if isinstance(value, str))
        for reason, count in failures.items():
            logger.warning("the prior failed for %d frames: %s", count, reason)
        return [value if isinstance(value, Label) else None for value in found]

    def recorded(self, frame: Frame) -> list[LabelRecord]:
        """What its store holds of a frame: a record for each term, fewer where it was not asked, as one failed."""
        found = []
        for term, pool in zip(self.terms, self._pools, strict=True):
            asked = term.asked(frame)
            found.append(self.store.get(label_key(asked, pool.engine.name, pool.engine.settings_of(asked.numbers))))
        return [record for record in found if record is not None]

    def _values(self, frames: Sequence[Frame], *, keep: bool) -> list[Label | str]:
        """The sum of the terms for each frame, or the reason why there is none."""
        missing = list({f.frame_id: f for f in frames if keep or f.frame_id not in self._known}.values())
        if missing:
            columns = [self._of_term(index, missing, keep=keep) for index in range(len(self.terms))]
            for frame, *values in zip(missing, *columns, strict=True):
                self._known[frame.frame_id] = _sum(values, [term.sign for term in self.terms])
        found = [self._known[frame.frame_id] for frame in frames]
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found

    def _of_term(self, index: int, frames: Sequence[Frame], *, keep: bool) -> list[Label | str]:
        """What one term's engine says of the frames."""
        asked = [self.terms[index].asked(frame) for frame in frames]
        return self._pools[index].answers(asked, self.store, keep=keep)


class _Pool:
    """Several copies of one engine, a process each, and a thread for each that waits for it."""

    def __init__(self, settings: EngineSettings, processes: int) -> None:
        engines = [make_engine(settings) for _ in range(processes)]
        self.engine = engines[0]
        self._idle: SimpleQueue[Engine] = SimpleQueue()
        for engine in engines:
            self._idle.put(engine)
        self._threads = ThreadPoolExecutor(processes)

    def answers(self, frames: Sequence[Frame], store: LabelStore, *, keep: bool) -> list[Label | str]:
        """A label or a reason for each frame, in their order."""

        def answer(frame: Frame) -> Label | str:
            engine = self._idle.get()
            try:
                return _kept(frame, engine, store) if keep else _found(frame, engine, store)
            finally:
                self._idle.put(engine)

        return list(self._threads.map(answer, frames))


def _kept(frame: Frame, engine: Engine, store: LabelStore) -> Label | str:
    """From the store, or computed and stored, with its cost; a large force is no reason to leave a prior out."""
    record = label_frame(frame, engine, store, np.inf, clock_of(engine))
    return record.label or str(record.failure)


def _found(frame: Frame, engine: Engine, store: LabelStore) -> Label | str:
    """From the store, or computed."""
    known = store.get(label_key(frame, engine.name, engine.settings_of(frame.numbers)))
    if known is not None:
        return known.label or str(known.failure)

    def compute(frame: Frame, attempt: int) -> Label:
        label = engine.compute(frame, attempt)
        check_label(label, frame)
        return label

    made = try_attempts(engine, frame, compute)
    return made.result or str(made.failure)


def _sum(values: Sequence[Label | str], signs: Sequence[int]) -> Label | str:
    """Energies and forces with their signs, or the first reason why one of them is missing."""
    labels = [value for value in values if isinstance(value, Label)]
    if len(labels) < len(values):
        return next(value for value in values if isinstance(value, str))
    energies_eV = [label.energy_eV for label in labels]
    forces_eV_A = [label.forces_eV_A for label in labels]
    return Label(float(np.dot(signs, energies_eV)), np.tensordot(signs, forces_eV_A, axes=1))
