"""The record of one calculation: its frame, its label or its failure, and what it cost.

Written as JSON with a checksum, because a label is worth hours of computing and a damaged one, used
unnoticed, spoils everything trained on it. Floats survive exactly: Python writes the shortest text
that reads back to the same bits.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from defectscape.domain.errors import DefectscapeError, LabelError, StoreError
from defectscape.domain.frame import Frame
from defectscape.domain.label import Label
from defectscape.files.codec import decode, encode

FORMAT = 2
"""Version of the record's JSON; 2 added the absolute magnetisation."""

READABLE = (1, 2)
"""Versions that are read; what a version did not have yet is None."""

LARGE_FORCE = "large_force"
"""Flag of a label with a force beyond the fidelity's limit: kept, not trained on."""

REMEDY = "Run `defectscape labels --remove-damaged`: damaged records are removed and computed again"


def timestamp_now() -> str:
    """Now, as records and the journal write it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, eq=False)
class LabelRecord:
    """What one calculation gave.

    Attributes:
        key: the label's key in the store.
        frame: the structure.
        engine: the engine's name.
        settings: the engine's settings that change its result, canonical JSON.
        engine_version: version of the engine's package.
        label: energy and forces, or None if the calculation failed.
        failure: the reason of the failure, or None.
        flags: what is unusual about the label (``large_force``).
        rung: index of the engine's attempt that ended the calculation, from 0.
        wall_s: wall time of all attempts, s.
        core_s: processor time of all attempts, s.
        host_name: the machine that computed it.
        timestamp: when, ISO 8601, UTC.

    Raises:
        LabelError: unless there is either a label of all the frame's atoms, finite in every
            number, or a reason of failure.
    """

    key: str
    frame: Frame
    engine: str
    settings: str
    engine_version: str
    label: Label | None
    failure: str | None
    flags: tuple[str, ...]
    rung: int
    wall_s: float
    core_s: float
    host_name: str
    timestamp: str

    def __post_init__(self) -> None:
        thing = f"label of {self.frame.key} frame {self.frame.frame_id}"
        if (self.label is None) == (self.failure is None):
            raise LabelError(
                thing,
                f"label {self.label is not None}, failure {self.failure}",
                "A record holds either a label or the reason of its failure",
            )
        if self.label is not None:
            check_label(self.label, self.frame)

    @property
    def trainable(self) -> bool:
        """Whether a model may learn from the label."""
        return self.label is not None and LARGE_FORCE not in self.flags

    def to_json(self) -> str:
        """The record as text.

        Raises:
            LabelError: if a number is not finite.
        """
        payload = encode(self, not_finite="constants")
        payload["frame"] = _with_key_spread(payload["frame"])
        try:
            checksum = _checksum(payload)
        except ValueError as error:
            raise LabelError(f"record {self.key}", error, "Such a number is never stored; compute it again") from error
        content = {"format": FORMAT, "sha256": checksum, "payload": payload}
        return json.dumps(content, allow_nan=False, indent=None) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str) -> "LabelRecord":
        """Read a record and check it.

        Args:
            text: what ``to_json`` wrote.
            source: where it came from, for the error.

        Raises:
            StoreError: if it is of another format, or anything about it is not as it was written.
        """
        payload = _checked_payload(text, source)
        try:
            payload["frame"] = _with_key_gathered(payload["frame"])
            if payload["label"] is not None:
                payload["label"].setdefault("absolute_magnetisation", None)
            record: LabelRecord = decode(cls, payload)
            return record
        except (KeyError, TypeError, ValueError, AttributeError, DefectscapeError) as error:
            raise _damage(source, f"does not hold a record ({error})") from error


def check_label(label: Label, frame: Frame) -> None:
    """Refuse a label that is not of this frame or has a number that is not finite.

    Raises:
        LabelError: naming the frame and what is wrong.
    """
    thing = f"label of {frame.key} frame {frame.frame_id}"
    if label.forces_eV_A.shape != (len(frame), 3):
        raise LabelError(
            thing,
            f"forces of shape {label.forces_eV_A.shape} for {len(frame)} atoms",
            "The engine answered for another structure",
        )
    for name in ("vbm_eV", "cbm_eV", "absolute_magnetisation"):
        value = getattr(label, name)
        if value is not None and not math.isfinite(value):
            raise LabelError(f"{name} of the {thing}", value, "Such a value is never used")


def _with_key_spread(frame: dict[str, Any]) -> dict[str, Any]:
    """A frame as records hold it, defect and charge beside the other fields."""
    spread: dict[str, Any] = {}
    for name, value in frame.items():
        spread |= value if name == "key" else {name: value}
    return spread


def _with_key_gathered(frame: dict[str, Any]) -> dict[str, Any]:
    """The inverse of ``_with_key_spread``."""
    gathered = dict(frame)
    return gathered | {"key": {name: gathered.pop(name) for name in ("defect", "charge")}}


def _checksum(payload: dict[str, Any]) -> str:
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _damage(source: str, what: str) -> StoreError:
    return StoreError(f"label record {source}", what, REMEDY)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


def _checked_payload(text: str, source: str) -> dict[str, Any]:
    """The payload, after its format and checksum were found right."""
    if not text.strip():
        raise _damage(source, "is empty")
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _damage(source, f"is not whole ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("payload"), dict):
        raise _damage(source, "does not hold a record")
    if content.get("format") not in READABLE:
        raise StoreError(
            f"label record {source}",
            f"format {content.get('format')!r}, known are {READABLE}",
            "Read it with the version of defectscape that wrote it",
        )
    payload: dict[str, Any] = content["payload"]
    try:
        matches = _checksum(payload) == content.get("sha256")
    except ValueError as error:
        raise _damage(source, f"holds a number that is not finite ({error})") from error
    if not matches:
        raise _damage(source, "was changed after it was written (checksum differs)")
    return payload
