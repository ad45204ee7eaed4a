"""From frames to labels: the store first, then the engine up its ladder, then a recorded failure."""

import logging
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Frame
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, Engine
from defectscape.store.journal import Call
from defectscape.store.labels import LabelStore
from defectscape.store.record import LabelRecord, label_key

logger = logging.getLogger(__name__)

LARGE_FORCE = "large_force"
PROGRESS_EVERY_S = 5.0


def record_of(frame: Frame, engine: Engine, store: LabelStore) -> LabelRecord | None:
    """What the store holds of a frame at an engine's level, or None."""
    return store.get(label_key(frame, engine.name, engine.settings_json))


def settings_match(record: LabelRecord, engine: Engine) -> bool:
    """Whether a record was computed at an engine's level."""
    return record.engine == engine.name and record.settings == engine.settings_json


def label_frame(
    frame: Frame, engine: Engine, store: LabelStore, max_force_eV_A: float,
    *, retry_failures: bool = False,
) -> LabelRecord:  # fmt: skip
    """The record of a frame at an engine's level: from the store, or computed and stored.

    Args:
        max_force_eV_A: labels with a larger force on an atom are flagged, and not trained on.
        retry_failures: compute again what failed before.

    Raises:
        StoreError: if the record is damaged or cannot be written.
        EngineError: if the engine cannot run at all.
    """
    known = record_of(frame, engine, store)
    if known is not None and (known.label is not None or not retry_failures):
        return known
    record = _computed(frame, engine, store, max_force_eV_A)
    store.put(record)
    return record


def _computed(
    frame: Frame, engine: Engine, store: LabelStore, max_force_eV_A: float
) -> LabelRecord:
    """Climb the ladder until a rung converges."""
    key = label_key(frame, engine.name, engine.settings_json)
    label: Label | None = None
    reasons: list[str] = []
    begun_wall, begun_core = time.perf_counter(), time.process_time()
    rung = 0
    for rung, step in enumerate(engine.ladder):
        before = time.process_time()
        try:
            label = engine.compute(frame, rung)
        except (CalculationFailed, LabelError) as error:
            reasons.append(f"{step.name}: {error}")
            logger.warning("%s %s: %s", frame.key, frame.frame_id, reasons[-1])
        store.log_call(
            Call(
                key, engine.name, engine.settings_json, frame.key.defect, frame.charge,
                "failed" if label is None else "ok", rung, time.process_time() - before, _now(),
            )
        )  # fmt: skip
        if label is not None:
            break
    large = label is not None and label.fmax_eV_A > max_force_eV_A
    return LabelRecord(
        key=key,
        frame=frame,
        engine=engine.name,
        settings=engine.settings_json,
        engine_version=engine.version,
        label=label,
        failure="; ".join(reasons) if label is None else None,
        flags=(LARGE_FORCE,) if large else (),
        rung=rung,
        wall_s=time.perf_counter() - begun_wall,
        core_s=time.process_time() - begun_core,
        host_name=platform.node(),
        timestamp=_now(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def label_frames(
    frames: Sequence[Frame], engine: Engine, store: LabelStore, max_force_eV_A: float,
    title: str = "labels",
) -> list[LabelRecord]:  # fmt: skip
    """Records of all frames, in order; progress with the time left goes to the log."""
    records: list[LabelRecord] = []
    stored = failed = 0
    computing_s = 0.0
    reported = time.monotonic()
    waiting = [record_of(frame, engine, store) is None for frame in frames]
    for number, frame in enumerate(frames):
        begun = time.monotonic()
        record = label_frame(frame, engine, store, max_force_eV_A)
        records.append(record)
        failed += record.label is None
        if waiting[number]:
            computing_s += time.monotonic() - begun
        else:
            stored += 1
        if time.monotonic() - reported > PROGRESS_EVERY_S:
            reported = time.monotonic()
            computed = number + 1 - stored
            left_s = computing_s / max(computed, 1) * sum(waiting[number + 1 :])
            _report(title, number + 1, len(frames), stored, failed, f", {left_s:.0f} s left")
    _report(title, len(frames), len(frames), stored, failed, "")
    return records


def _report(title: str, done: int, total: int, stored: int, failed: int, left: str) -> None:
    text = "%s: %d of %d labels, %d from the store, %d failed%s"
    logger.info(text, title, done, total, stored, failed, left)
