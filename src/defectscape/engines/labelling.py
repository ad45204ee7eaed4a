"""The one way to a label: from the store if it is there, else from the engine, into the store.

A failure is a result: it is recorded with its reason and not tried again unless asked for, so one
structure that does not converge costs a study nothing but itself.
"""

import logging
import os
import platform
import random
import time
from collections.abc import Sequence
from dataclasses import replace

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Frame, Ints
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, Engine
from defectscape.engines.processor_time import core_seconds
from defectscape.store.journal import Call
from defectscape.store.labels import LabelStore, label_key
from defectscape.store.record import LARGE_FORCE, LabelRecord, check_label, timestamp_now

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 5.0
"""Seconds between two lines of progress."""


def label_frame(
    frame: Frame,
    engine: Engine,
    store: LabelStore,
    max_force_eV_A: float,
    *,
    retry_failures: bool = False,
) -> LabelRecord:
    """The record of a frame's label, computed only if the store has none.

    Args:
        frame: the structure.
        engine: computes what the store lacks, climbing its ladder until a rung succeeds.
        store: the label store.
        max_force_eV_A: a label with a larger force on an atom is flagged, and not trained on, eV/A.
        retry_failures: compute again what failed before.

    Returns:
        The record, with this frame (its defect, family and origin) and with the flag by this limit,
        whoever computed the label. A failure is a record too.

    Raises:
        StoreError: if the record in the store is damaged or the store cannot be written.
        EngineError: if the engine cannot run at all.
    """
    key = label_key(frame, engine.name, engine.settings_of(frame.numbers))
    known = store.get(key)
    if known is None or (known.label is None and retry_failures):
        computed = _compute(frame, engine, store, key)
        store.put(_flagged(computed, frame, max_force_eV_A))
        # Another process may have put its label first; all readers must see the same one.
        known = store.get(key) or computed
    return _flagged(known, frame, max_force_eV_A)


def label_frames(
    frames: Sequence[Frame],
    engine: Engine,
    store: LabelStore,
    max_force_eV_A: float,
    progress: str,
    *,
    retry_failures: bool = False,
) -> list[LabelRecord]:
    """Records of many frames, in their order, with a line of progress every few seconds.

    Args:
        frames, engine, store, max_force_eV_A, retry_failures: as for ``label_frame``.
        progress: what the lines of progress call this work.
    """
    records: dict[int, LabelRecord] = {}
    meter = _Meter(progress, len(frames))
    for index in _own_order(len(frames)):
        calls = _CountedEngine(engine)
        began = time.perf_counter()
        record = label_frame(
            frames[index], calls, store, max_force_eV_A, retry_failures=retry_failures
        )
        records[index] = record
        meter.add(record, time.perf_counter() - began, computed=calls.count > 0)
    meter.end()
    return [records[index] for index in range(len(frames))]


def _own_order(count: int) -> list[int]:
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


def _compute(frame: Frame, engine: Engine, store: LabelStore, key: str) -> LabelRecord:
    """Climb the ladder; every rung that is tried goes into the journal."""
    began_wall, began_core = time.perf_counter(), core_seconds()
    label: Label | None = None
    reasons: list[str] = []
    rung = 0
    for rung in range(len(engine.ladder)):
        began = core_seconds()
        label, failure, hopeless = _attempt(frame, engine, rung)
        core_s = core_seconds() - began
        store.log_call(
            Call(
                key, engine.name, frame.key.defect, frame.charge,
                "failed" if failure else "ok", rung, core_s, timestamp_now(),
            )
        )  # fmt: skip
        if failure is None:
            break
        reasons.append(f"{engine.ladder[rung].name}: {failure}")
        logger.info("%s frame %s: %s", frame.key, frame.frame_id, reasons[-1])
        if hopeless:
            break
    return LabelRecord(
        key, frame, engine.name, engine.settings_of(frame.numbers), engine.version, label,
        "; ".join(reasons) if label is None else None, (), rung,
        time.perf_counter() - began_wall, core_seconds() - began_core, platform.node(), timestamp_now(),
    )  # fmt: skip


def _attempt(frame: Frame, engine: Engine, rung: int) -> tuple[Label | None, str | None, bool]:
    """One engine call: its label, or the reason of its failure and whether that is final."""
    try:
        label = engine.compute(frame, rung)
        check_label(label, frame)
    except CalculationFailed as error:
        return None, error.reason, error.hopeless
    except LabelError as error:
        return None, str(error), False
    return label, None, False


class _CountedEngine:
    """The same engine, with a count of its calls: how progress knows what was computed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.name = engine.name
        self.settings_json = engine.settings_json
        self.ladder = engine.ladder
        self.count = 0

    @property
    def version(self) -> str:
        """An external program says its version with its first answer."""
        return self.engine.version

    def settings_of(self, numbers: Ints) -> str:
        return self.engine.settings_of(numbers)

    def compute(self, frame: Frame, rung: int) -> Label:
        self.count += 1
        return self.engine.compute(frame, rung)


class _Meter:
    """Progress of many labels; what came from the store does not enter the estimate of time."""

    def __init__(self, title: str, total: int) -> None:
        self.title = title
        self.total = total
        self.done = self.computed = self.failed = 0
        self.computing_s = 0.0
        self.reported = time.perf_counter()

    def add(self, record: LabelRecord, seconds: float, *, computed: bool) -> None:
        self.done += 1
        self.failed += record.label is None
        if computed:
            self.computed += 1
            self.computing_s += seconds
        now = time.perf_counter()
        if now - self.reported >= REPORT_EVERY_S and self.done < self.total:
            self.reported = now
            logger.info("%s, %s left", self._text(), self._left())

    def end(self) -> None:
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
        seconds = self.computing_s / self.computed * (self.total - self.done)
        return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
