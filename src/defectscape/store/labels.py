"""The label store: a folder in which a label, once computed, is found for ever.

A record's name is the hash of what was computed, so studies, groups and repeated runs share labels,
and nothing is computed twice. Many processes on many machines write at once: a record appears by
the renaming of a finished file, or not at all. Failures have files of their own
(``<key>.failed.json``), so that no order of writers can put a failure in a label's place.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from defectscape.domain.errors import StoreError
from defectscape.domain.frame import Frame
from defectscape.files.text import write_text
from defectscape.store.journal import Call, append_call, read_calls
from defectscape.store.record import REMEDY, LabelRecord

STORE_FORMAT = 1
"""Version of the folder's layout."""

MARKER = "STORE.json"
RECORDS = "records"
OK, FAILED = ".json", ".failed.json"
_KEY = re.compile(r"^[0-9a-f]{64}$")


def label_key(frame: Frame, engine_name: str, engine_settings_json: str) -> str:
    """The label's key, 64 hex digits: hash of geometry, charge, spin, engine and its settings.

    The defect's name, the origin and the family are no part of it: they change no label.
    """
    parts = [frame.geometry_hash, engine_name, engine_settings_json]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class LabelStore:
    """The records in ``root``, which is made with the first one.

    Args:
        root: the folder.

    Every method raises StoreError, naming the file, if the folder is of an unknown format, cannot
    be read or written, or holds a damaged record where one is asked for.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._format_checked = False

    def path(self, key: str) -> Path:
        """The file of a label with this key."""
        return self._path(key, OK)

    def failure_path(self, key: str) -> Path:
        """The file of a failure with this key; it counts only where there is no label."""
        return self._path(key, FAILED)

    def get(self, key: str) -> LabelRecord | None:
        """The label of this key, else its recorded failure, else None."""
        self._check_format()
        return self._read(self.path(key)) or self._read(self.failure_path(key))

    def put(self, record: LabelRecord) -> None:
        """Write a record; one that is there already as a label stays as it is.

        Raises:
            LabelError: if a number of it is not finite.
        """
        self._check_name(record, record.key, f"label record {record.key}")
        known = self.get(record.key)
        if known is not None and known.label is not None:
            return
        text = record.to_json()
        self._mark()
        path = self.path if record.failure is None else self.failure_path
        self._write(path(record.key), text)

    def records(self) -> Iterator[LabelRecord]:
        """All records by key, one at a time; a failure only where there is no label."""
        self._check_format()
        last = ""
        # "<key>.failed.json" sorts before "<key>.json": the label must come first.
        for path in self._files():
            key = path.name.partition(".")[0]
            if key == last:
                continue
            record = self._read(path)
            if record is not None:
                last = key
                yield record

    def damaged(self) -> list[Path]:
        """Files whose record cannot be trusted, by name."""
        self._check_format()
        found = []
        for path in self._files():
            try:
                self._read(path)
            except StoreError:
                found.append(path)
        return found

    def log_call(self, call: Call) -> None:
        """Note in the journal that the engine was called."""
        self._mark()
        append_call(self.root / "journal", call)

    def calls(self) -> list[Call]:
        """All engine calls ever made for this store, by time."""
        self._check_format()
        return read_calls(self.root / "journal")

    def _path(self, key: str, suffix: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StoreError("label key", repr(key), "A key has 64 hexadecimal digits")
        return self.root / RECORDS / key[:2] / f"{key}{suffix}"

    def _files(self) -> Iterator[Path]:
        """Record files by key, labels before failures; leftovers of killed writers are not."""
        names = re.compile(r"^[0-9a-f]{64}(\.failed)?\.json$")
        try:
            for shard in sorted((self.root / RECORDS).glob("??")):
                paths = [path for path in shard.iterdir() if names.match(path.name)]
                yield from sorted(paths, key=lambda path: (path.name[:64], path.name[64:] != OK))
        except OSError as error:
            raise self._fault(error, "Make the label store readable") from error

    def _read(self, path: Path) -> LabelRecord | None:
        source = str(path)
        try:
            text = path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise StoreError(f"label record {source}", "is not text", REMEDY) from None
        except OSError as error:
            raise self._fault(error, "Make the label store readable") from error
        record = LabelRecord.from_json(text, source)
        self._check_name(record, path.name.partition(".")[0], f"label record {source}")
        if (record.failure is not None) != path.name.endswith(FAILED):
            raise StoreError(f"label record {source}", "has the wrong ending", REMEDY)
        return record

    @staticmethod
    def _check_name(record: LabelRecord, name: str, thing: str) -> None:
        """The name, the key inside and the hash of the content must be one."""
        if not record.key == name == label_key(record.frame, record.engine, record.settings):
            raise StoreError(thing, "is of another structure or engine than its name says", REMEDY)

    def _check_format(self) -> None:
        if self._format_checked:
            return
        path = self.root / MARKER
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._fault(error, "Give a folder as label_store") from error
        try:
            found = json.loads(text)["format"]
        except (ValueError, KeyError, TypeError):
            raise StoreError(
                f"label store {path}", "is damaged", f'Write {{"format": {STORE_FORMAT}}} into it'
            ) from None
        if found != STORE_FORMAT:
            raise StoreError(
                f"label store {path}",
                f"format {found!r}, known is {STORE_FORMAT}",
                "Use the version of defectscape that wrote it, or another label_store",
            )
        self._format_checked = True

    def _mark(self) -> None:
        """Make the folder on the first writing, with its format."""
        self._check_format()
        if not self._format_checked:
            self._write(self.root / MARKER, json.dumps({"format": STORE_FORMAT}) + "\n")
            self._format_checked = True

    def _write(self, path: Path, text: str) -> None:
        try:
            write_text(path, text)
        except OSError as error:
            remedy = "Make it writable, with room on its disk; finished labels are kept"
            raise self._fault(error, remedy) from error

    def _fault(self, error: OSError, remedy: str) -> StoreError:
        where = f" ({error.filename})" if error.filename else ""
        return StoreError(f"label store {self.root}", f"{error.strerror or error}{where}", remedy)
