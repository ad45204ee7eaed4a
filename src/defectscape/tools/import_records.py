"""Records of labels that were computed elsewhere."""

from collections.abc import Mapping
from typing import Any

from defectscape.domain.frame import Frame
from defectscape.domain.label import Label
from defectscape.engines.base import Engine
from defectscape.store.labels import label_key
from defectscape.store.record import LabelRecord, timestamp_now


def imported_record(engine: Engine, frame: Frame, label: Label, version: str, info: Mapping[str, Any]) -> LabelRecord:
    """A record as if it had been computed here; its time is what the data say, or none."""
    settings = engine.settings_of(frame.numbers)
    key = label_key(frame, engine.name, settings)
    return LabelRecord(
        key,
        frame,
        engine.name,
        settings,
        version,
        label,
        None,
        (),
        int(info.get("rung", 0)),
        float(info.get("wall_s", 0.0)),
        float(info.get("core_s", 0.0)),
        "imported",
        str(info.get("computed", timestamp_now())),
    )
