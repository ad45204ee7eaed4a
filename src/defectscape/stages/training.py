"""Training stages: one committee member of a group's round, or of the final model."""

from pathlib import Path

from defectscape.domain.family import Split
from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_seed
from defectscape.model.training import train_member
from defectscape.settings.training import TrainingSettings
from defectscape.study.committees import write_history
from defectscape.study.context import StudyContext
from defectscape.study.labels import known_to_prior, over_prior, read_data, read_group_data, unique, write_data
from defectscape.study.layout import GroupRound
from defectscape.study.minima import verification_labels
from defectscape.study.settling import all_settled_before, take_over
from defectscape.study.splits import of_split, read_final_splits, read_splits, write_final_splits
from defectscape.study.teaching import TrainingData, first_model, training_data


def _train(
    context: StudyContext,
    files: GroupRound,
    data: TrainingData,
    settings: TrainingSettings,
    member: int,
    seed: int,
    warm_start: Path | None,
) -> None:
    history = train_member(
        data.train,
        data.valid,
        context.fidelity_names,
        settings,
        seed=seed,
        member=member,
        output=files.model(member),
        warm_start=warm_start,
        checkpoint=files.folder / f"checkpoint_{member}.pt",
        prior="" if context.prior is None else context.prior.name,
        per_composition=data.per_composition,
    )
    write_history(files, member, history)


def train_round(context: StudyContext, group: str, number: int, member: int) -> None:
    """Train one member of a round's committee on what the group knows, and what others teach it.

    Nothing is learned where nothing is new.
    """
    settings = context.study.exploration.training
    files = context.layout.group(group)
    if all_settled_before(context, group, number):
        take_over(zip(*(files.round(n).of_member(member) for n in (number - 1, number)), strict=True))
        return
    data = training_data(context, group, number)
    if number == 0:
        warm = first_model(context, group, member, data.elements)
    else:
        warm = files.round(number - 1).model(member) if settings.warm_start else None
    # The seed does not contain the round: with a cold start, rounds differ by their data alone.
    seed = derive_seed(context.study.seed, "train", group, member)
    _train(context, files.round(number), data, settings, member, seed, warm)


def build_final_data(context: StudyContext) -> None:
    """Every label of every group, and the labels that verification made, with all splits."""
    last = context.study.exploration.rounds
    splits: dict[str, Split] = {}
    for group in context.groups:
        splits |= read_splits(context, group.name)
    for fidelity in ("low", "high"):
        data: list[LabelledFrame] = []
        for group in context.groups:
            data += read_group_data(context, group.name, last, fidelity)
        if fidelity == "high":
            data += verification_labels(context)
        write_data(context.layout.final, fidelity, known_to_prior(context, unique(data)))
    write_final_splits(context, splits)


def train_final(context: StudyContext, member: int) -> None:
    """Train one member of the final committee on all groups together."""
    seed, splits = derive_seed(context.study.seed, "final", member), read_final_splits(context)
    files = context.layout.final
    data = over_prior(context, [item for fidelity in ("low", "high") for item in read_data(context, files, fidelity)])
    known = TrainingData(of_split(data, splits, Split.TRAIN), of_split(data, splits, Split.VALID))
    _train(context, files, known, context.study.training, member, seed, None)
