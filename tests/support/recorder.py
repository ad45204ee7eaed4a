"""What a stage reads: which settings, by their dotted names, and which files."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from defectscape.settings.base import Settings
from defectscape.settings.study import Study


class SettingsRecorder:
    """Notes every setting of a study that is looked at while it listens.

    A block that is copied goes on being listened to; one that is dumped is read whole.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.found: set[str] = set()
        self._names: dict[int, tuple[str, Settings]] = {}
        read, dump, copy = Settings.__getattribute__, Settings.model_dump, Settings.model_copy
        recorder = self

        def looked_at(block: Settings, name: str) -> Any:
            value = read(block, name)
            if not name.startswith(("_", "model_")) and id(block) in recorder._names:
                recorder._note(block, name, value)
            return value

        def dumped(block: Settings, *arguments: Any, **options: Any) -> Any:
            if id(block) in recorder._names:
                recorder.found |= leaves(block, recorder._names[id(block)][0])
            return dump(block, *arguments, **options)

        def copied(block: Settings, **options: Any) -> Any:
            made = copy(block, **options)
            if id(block) in recorder._names:
                recorder.watch(made, recorder._names[id(block)][0])
            return made

        patch.setattr(Settings, "__getattribute__", looked_at)
        patch.setattr(Settings, "model_dump", dumped)
        patch.setattr(Settings, "model_copy", copied)

    def watch(self, block: Settings, name: str = "") -> None:
        """Listen to a block and to those in it."""
        self._names[id(block)] = (name, block)
        for field, value in block.__dict__.items():
            for part in blocks_in(value):
                self.watch(part, joined(name, field))

    def _note(self, block: Settings, name: str, value: object) -> None:
        if name in block.__dict__ and not list(blocks_in(value)):
            self.found.add(joined(self._names[id(block)][0], name))


def joined(block: str, name: str) -> str:
    """The dotted name of a setting in a block."""
    return f"{block}.{name}" if block else name


def blocks_in(value: object) -> Iterator[Settings]:
    """The blocks of settings that a field holds."""
    if isinstance(value, Settings):
        yield value
    elif isinstance(value, list | tuple):
        yield from (item for item in value if isinstance(item, Settings))
    elif isinstance(value, dict):
        yield from (item for item in value.values() if isinstance(item, Settings))


def leaves(block: Settings, name: str = "") -> set[str]:
    """Dotted names of all settings of a block."""
    found: set[str] = set()
    for field, value in block.__dict__.items():
        parts = list(blocks_in(value))
        found |= set().union(*(leaves(part, joined(name, field)) for part in parts))
        if not parts:
            found.add(joined(name, field))
    return found


def covers(block: str, setting: str) -> bool:
    """Whether a dotted name is that of a setting or of a block that it is in."""
    return block in ("*", setting) or setting.startswith(f"{block}.")


_opened: set[Path] | None = None


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is None or event != "open" or not isinstance(arguments[0], str | bytes | Path):
        return
    path, mode = Path(str(arguments[0])), arguments[1]
    if mode is None or "r" in str(mode):
        _opened.add(path if path.is_absolute() else Path.cwd() / path)


sys.addaudithook(_listen)


@contextmanager
def files_read() -> Iterator[set[Path]]:
    """The files that are opened for reading while it lasts."""
    global _opened
    _opened = found = set()
    try:
        yield found
    finally:
        _opened = None


def watched_study(recorder: SettingsRecorder, study: Study) -> None:
    """Listen to a study."""
    recorder.found.clear()
    recorder.watch(study)
