"""The one way to a label: from the store if it is there, else from the engine, into the store.

A failure is a result: it is recorded with its reason and not tried again unless asked for, so one
structure that does not converge costs a study nothing but itself.
"""

import logging
import os
import platform
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Frame
from defectscape.domain.label import Label
from defectscape.engines.attempts import try_attempts
from defectscape.engines.base import CalculationFailed, Engine
from defectscape.engines.processor_time import core_seconds
from defectscape.store.journal import Call
from defectscape.store.labels import LabelStore, label_key
from defectscape.store.record import LARGE_FORCE, LabelRecord, check_label, timestamp_now

logger = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Tells the processor time used so far, s."""

REPORT_EVERY_S = 5.0
"""Seconds between two lines of progress."""


def label_frame(
    frame: Frame, engine: Engine, store: LabelStore, max_force_eV_A: float, clock: Clock = core_seconds
) -> LabelRecord:
    """The record of a frame's label, computed only if the store has none.

    Args:
        frame: the structure.
        engine: computes what the store lacks, with its attempts one after the other until one succeeds.
        store: the label store.
        max_force_eV_A: a label with a larger force on an atom is flagged, and not trained on, eV/A.
        clock: tells the processor time used so far, s.

    Returns:
        The record, with this frame (its defect, family and origin) and with the flag by this limit,
        whoever computed the label. A failure is a record too.

    Raises:
        StoreError: if the record in the store is damaged or the store cannot be written.
        EngineError: if the engine cannot run at all.
    """
    record, _ = find_or_compute(frame, engine, store, max_force_eV_A, clock)
    return record


def label_frames(
    frames: Sequence[Frame],
    engine: Engine,
    store: LabelStore,
    max_force_eV_A: float,
    progress: str,
) -> list[LabelRecord]:
    """Records of many frames, in their order, with a line of progress every few seconds.

    Args:
        frames, engine, store, max_force_eV_A: as for ``label_frame``.
        progress: what the lines of progress call this work.
    """
    records: dict[int, LabelRecord] = {}
    meter = Meter(progress, len(frames))
    for index in own_order(len(frames)):
        began = time.perf_counter()
        record, computed = find_or_compute(frames[index], engine, store, max_force_eV_A)
        records[index] = record
        meter.add(record, time.perf_counter() - began, computed=computed)
    meter.end()
    return [records[index] for index in range(len(frames))]


def find_or_compute(
    frame: Frame, engine: Engine, store: LabelStore, max_force_eV_A: float, clock: Clock = core_seconds
) -> tuple[LabelRecord, bool]:
    """The record of a frame's label, and whether it was computed now."""
    key = label_key(frame, engine.name, engine.settings_of(frame.numbers))
    known = store.get(key)
    computed = known is None
    if known is None:
        new = _compute(frame, engine, store, key, clock)
        store.put(_flagged(new, frame, max_force_eV_A))
        # Another process may have put its label first; all readers must see the same one.
        known = store.get(key) or new
    return _flagged(known, frame, max_force_eV_A), computed


def own_order(count: int) -> list[int]:
    """An order of this process's own.

    Two processes that went through one list in one order would compute every label of it twice, side by
    side; in orders of their own they find each other's labels in the store, and only the last few meet.
    """
    return random.Random(f"{platform.node()} {os.getpid()}").sample(range(count), count)


def _flagged(record: LabelRecord, frame: Frame, max_force_eV_A: float) -> LabelRecord:
    """The record as this caller must see it: a store is shared by studies with other limits."""
    flags = [flag for flag in record.flags if flag != LARGE_FORCE]
    if record.label is not None and record.label.fmax_eV_A > max_force_eV_A:
        flags.append(LARGE_FORCE)
    return replace(record, frame=frame, flags=tuple(flags))


def _compute(frame: Frame, engine: Engine, store: LabelStore, key: str, clock: Clock) -> LabelRecord:
    """The record of a new calculation; every attempt goes into the journal as soon as it has ended."""

    def log_call(status: Literal["ok", "failed"], attempt: int, core_s: float) -> None:
        defect, charge = frame.key.defect, frame.charge
        store.log_call(Call(key, engine.name, defect, charge, status, attempt, core_s, timestamp_now()))

    def compute(frame: Frame, attempt: int) -> Label:
        began = clock()
        try:
            label = engine.compute(frame, attempt)
            check_label(label, frame)
        except (CalculationFailed, LabelError):
            log_call("failed", attempt, clock() - began)
            raise
        log_call("ok", attempt, clock() - began)
        return label

    began_wall, began_core = time.perf_counter(), clock()
    made = try_attempts(engine, frame, compute)
    return LabelRecord(
        key=key,
        frame=frame,
        engine=engine.name,
        settings=engine.settings_of(frame.numbers),
        engine_version=engine.version,
        label=made.result,
        failure=made.failure,
        flags=(),
        rung=made.last,
        wall_s=time.perf_counter() - began_wall,
        core_s=clock() - began_core,
        host_name=platform.node(),
        timestamp=timestamp_now(),
    )


class Meter:
    """Progress of many labels; what came from the store does not enter the estimate of time.

    Args:
        title: what the lines call this work.
        total: labels.
        side_by_side: labels that are computed at once.
    """

    def __init__(self, title: str, total: int, side_by_side: int = 1) -> None:
        self.title = title
        self.total = total
        self.side_by_side = side_by_side
        self.done = self.computed = self.failed = 0
        self.computing_s = self.longest_s = 0.0
        self.reported = time.perf_counter()

    def add(self, record: LabelRecord, seconds: float, *, computed: bool) -> None:
        """One more label, and how long it took, s."""
        self.done += 1
        self.failed += record.label is None
        if computed:
            self.computed += 1
            self.computing_s += seconds
            self.longest_s = max(self.longest_s, seconds)
        now = time.perf_counter()
        if now - self.reported >= REPORT_EVERY_S and self.done < self.total:
            self.reported = now
            logger.info("%s, %s left", self._text(), self._left())

    def end(self) -> None:
        """The last line."""
        logger.info("%s, %.0f s", self._text(), self.computing_s)

    def _text(self) -> str:
        return (
            f"{self.title} {self.done}/{self.total} labels, "
            f"{self.done - self.computed} from store, {self.failed} failed"
        )

    def _left(self) -> str:
        """Time left if all that is to come must be computed."""
        if not self.computed:
            return "some time"
        seconds = self.computing_s / self.computed * (self.total - self.done) / self.side_by_side
        return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
