"""What a group trains on: its own labels and those of the defects that teach it, and the model that it begins with.

A teacher gives all that it ends with: the labels of its last round and those of its verification, near the minima. Its
families keep their splits, so that what it holds out trains no other group either.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from defectscape.domain.family import Split
from defectscape.domain.label import LabelledFrame
from defectscape.model.saving import load_network
from defectscape.study.context import StudyContext
from defectscape.study.labels import over_prior, read_group_data, unique
from defectscape.study.minima import verification_labels
from defectscape.study.splits import of_split, read_splits

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """Labels to train on, over the prior.

    Attributes:
        train, valid: of both fidelities.
        per_composition: whether the energy constants are those of each composition: where others teach, a group's own
            must not be moved by theirs.
    """

    train: list[LabelledFrame]
    valid: list[LabelledFrame]
    per_composition: bool = False

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers of the training frames, ascending."""
        return tuple(sorted({int(number) for item in self.train for number in item.frame.numbers}))


def training_data(context: StudyContext, name: str, number: int, more: Sequence[LabelledFrame] = ()) -> TrainingData:
    """What a group trains on after a round.

    Args:
        context, name: whose.
        number: of the round.
        more: high-fidelity labels of the group's defect that no file holds yet.
    """
    group, _ = context.group(name)
    low, high = (read_group_data(context, name, number, fidelity) for fidelity in ("low", "high"))
    data = [*low, *unique([*high, *more])]
    splits = read_splits(context, name)
    for teacher in group.taught_by:
        data += _of_teacher(context, teacher)
        splits = read_splits(context, teacher) | splits
    data = over_prior(context, data)
    train, valid = (of_split(data, splits, split) for split in (Split.TRAIN, Split.VALID))
    return TrainingData(train, valid, per_composition=bool(group.taught_by))


def _of_teacher(context: StudyContext, name: str) -> list[LabelledFrame]:
    """All labels of a group that has finished."""
    group, _ = context.group(name)
    last = context.study.exploration.rounds
    low, high = (read_group_data(context, name, last, fidelity) for fidelity in ("low", "high"))
    return [*low, *unique([*high, *verification_labels(context, [group])])]


def first_model(context: StudyContext, name: str, member: int, elements: tuple[int, ...]) -> Path | None:
    """The model that a group's first training starts from: the last one of the same member of another group.

    None where the study asks for none, or where the training has an element that this model lacks: weights are of
    elements.

    Args:
        context, name, member: whose first training.
        elements: atomic numbers that the training has.
    """
    group, _ = context.group(name)
    if group.begins_with is None:
        return None
    path = context.layout.group(group.begins_with).round(context.study.exploration.rounds).model(member)
    known = load_network(path).card.elements
    if known != elements:
        logger.warning(
            "the models of %s know the atomic numbers %s, and %s has %s: its first training takes the labels alone and "
            "starts from random weights",
            group.begins_with,
            ", ".join(map(str, known)),
            name,
            ", ".join(map(str, elements)),
        )
        return None
    return path
