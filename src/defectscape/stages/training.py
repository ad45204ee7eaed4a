"""Training stages: one committee member of a group's round, or of the final model."""

from pathlib import Path

from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_seed
from defectscape.files.extxyz import read_labelled, write_labelled
from defectscape.files.tables import write_json
from defectscape.model.training import train_member
from defectscape.sampling.splits import Split
from defectscape.settings.groups import exploration_groups
from defectscape.settings.training import Training
from defectscape.study.context import StudyContext
from defectscape.study.labels import read_group_data, unique
from defectscape.study.layout import GroupRound
from defectscape.study.minima import verification_labels
from defectscape.study.splits import of_split, read_final_splits, read_splits


def _read_round(context: StudyContext, files: GroupRound) -> list[LabelledFrame]:
    low, high = context.fidelity_names
    return [*read_labelled(files.data_low, low), *read_labelled(files.data_high, high)]


def _train(
    context: StudyContext, files: GroupRound, splits: dict[str, Split], settings: Training,
    member: int, seed: int, warm_start: Path | None,
) -> None:  # fmt: skip
    data = _read_round(context, files)
    history = train_member(
        of_split(data, splits, Split.TRAIN), of_split(data, splits, Split.VALID),
        context.fidelity_names, settings, seed=seed, member=member,
        output=files.model(member), warm_start=warm_start,
        checkpoint=files.folder / f"checkpoint_{member}.pt",
    )  # fmt: skip
    write_json(files.history(member), history.to_json())


def train_round(context: StudyContext, group: str, number: int, member: int) -> None:
    """Train one member of a round's committee on what the group knows."""
    settings = context.study.exploration.training
    files = context.layout.group(group)
    warm = files.round(number - 1).model(member) if settings.warm_start and number > 0 else None
    # The seed does not contain the round: with a cold start, rounds differ by their data alone.
    seed = derive_seed(context.study.seed, "train", group, member)
    splits = read_splits(context, group)
    _train(context, files.round(number), splits, settings, member, seed, warm)


def build_final_data(context: StudyContext) -> None:
    """Every label of every group, and the labels that verification made, with all splits."""
    last = context.study.exploration.rounds
    splits: dict[str, Split] = {}
    for group in exploration_groups(context.study):
        splits |= read_splits(context, group.name)
    target = context.layout.final
    for level in ("low", "high"):
        name = context.fidelity(level).name
        data: list[LabelledFrame] = []
        for group in exploration_groups(context.study):
            data += read_group_data(context, group.name, last, level, name)
        if level == "high":
            data += verification_labels(context)
        write_labelled(target.data_low if level == "low" else target.data_high, unique(data))
    rows = {family: str(split) for family, split in sorted(splits.items())}
    write_json(context.layout.final_splits, rows)


def train_final(context: StudyContext, member: int) -> None:
    """Train one member of the final committee on all groups together."""
    seed = derive_seed(context.study.seed, "final", member)
    _train(
        context, context.layout.final, read_final_splits(context), context.study.training,
        member, seed, None,
    )  # fmt: skip
