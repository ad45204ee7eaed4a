"""Which geometry family of a study trains, validates or tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from defectscape.domain.family import Split
from defectscape.domain.label import LabelledFrame
from defectscape.files.tables import read_json, write_json
from defectscape.study.context import StudyContext

Splits = Mapping[str, Split]
"""The split of every geometry family, by its name."""


def read_splits(context: StudyContext, group: str) -> dict[str, Split]:
    """Splits of a group's geometry families, with those of the groups it learns from."""
    return _read(context.layout.group(group).splits)


def write_splits(context: StudyContext, group: str, splits: Splits) -> None:
    """Write the splits of a group."""
    _write(context.layout.group(group).splits, splits)


def read_final_splits(context: StudyContext) -> dict[str, Split]:
    """Splits of all geometry families of the study."""
    return _read(context.layout.final_splits)


def write_final_splits(context: StudyContext, splits: Splits) -> None:
    """Write the splits of all groups together."""
    _write(context.layout.final_splits, splits)


def _read(path: Path) -> dict[str, Split]:
    return {family: Split(split) for family, split in read_json(path).items()}


def _write(path: Path, splits: Splits) -> None:
    write_json(path, {family: str(split) for family, split in sorted(splits.items())})


def of_split(data: Sequence[LabelledFrame], splits: Splits, split: Split) -> list[LabelledFrame]:
    """The frames whose geometry family belongs to a split."""
    return [item for item in data if splits[item.frame.family] == split]
