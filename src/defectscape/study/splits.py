"""Which geometry family of a study trains, validates or tests."""

from collections.abc import Sequence

from defectscape.domain.label import LabelledFrame
from defectscape.files.tables import read_json
from defectscape.sampling.splits import Split
from defectscape.study.context import StudyContext


def read_splits(context: StudyContext, group: str) -> dict[str, Split]:
    """Splits of a group's geometry families, with those of its teachers."""
    return {
        family: Split(split)
        for family, split in read_json(context.layout.group(group).splits).items()
    }


def found_family(defect: str) -> str:
    """Geometry family of the minima that searches and verification found."""
    return f"{defect}/found"


def of_split(
    data: Sequence[LabelledFrame], splits: dict[str, Split], split: Split
) -> list[LabelledFrame]:
    """The frames whose geometry family belongs to a split."""
    return [item for item in data if splits[item.frame.family] == split]


def read_final_splits(context: StudyContext) -> dict[str, Split]:
    """Splits of all geometry families of the study."""
    return {f: Split(split) for f, split in read_json(context.layout.final_splits).items()}
