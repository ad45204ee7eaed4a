"""Labelling stages: the frames of one chunk through the store and the engine, and their gathering."""

from collections.abc import Sequence
from dataclasses import asdict

from defectscape.domain.consistency import Jump, find_energy_jumps
from defectscape.domain.frame import Frame
from defectscape.domain.label import LabelledFrame
from defectscape.engines.labelling import label_frames
from defectscape.files.extxyz import read_frames, write_labelled
from defectscape.files.tables import write_json
from defectscape.settings.groups import label_rounds
from defectscape.study.context import StudyContext
from defectscape.study.labels import (
    descent_frames,
    gather,
    imported_labels,
    logger,
    outcome_of,
    pool_frames,
    read_group_data,
    round_outcomes,
    unique,
)


def in_chunk(frame: Frame, chunk: int, chunks: int) -> bool:
    """Whether a frame belongs to a chunk: decided by its content, so others do not move it."""
    return int(frame.frame_id, 16) % chunks == chunk


def label_chunk(
    context: StudyContext, group: str, round_number: int, level: str, chunk: int
) -> None:
    """Label one chunk of the pool (``low``, round 0) or of a round's selection."""
    files = context.layout.group(group).round(round_number)
    chunks = context.study.label_jobs
    source = context.layout.group(group).to_label(level, round_number)
    frames = [frame for frame in read_frames(source) if in_chunk(frame, chunk, chunks)]
    fidelity = context.fidelity(level)
    title = f"{group} round {round_number} {fidelity.name} {chunk + 1}/{chunks}"
    records = label_frames(
        frames, context.engine(level), context.store, fidelity.max_force_eV_A, title
    )
    write_json(files.labels(level, chunk, chunks), [asdict(outcome_of(r)) for r in records])


def build_round_data(context: StudyContext, group: str, number: int) -> None:
    """All labels a group knows after a round: its own of all rounds, and its teachers'."""
    members, files = context.group(group)
    last = context.study.exploration.rounds
    for level in ("low", "high"):
        name = context.fidelity(level).name
        data: list[LabelledFrame] = []
        for teacher in members.teachers:
            data += read_group_data(context, teacher, last, level, name)
        data += imported_labels(context, group, level)
        for earlier in label_rounds(context.study, level, number):
            frames = (
                list(pool_frames(context, group))
                if (level, earlier) == ("low", 0)
                else list(read_frames(files.to_label(level, earlier)))
            )
            if level == "low":
                frames += descent_frames(context, group, earlier)
            outcomes = round_outcomes(context, group, earlier, level)
            data += gather(context, frames, outcomes, level)
        target = files.round(number)
        kept, jumps = without_jumps(context, unique(data), level)
        write_labelled(target.data_low if level == "low" else target.data_high, kept)
        write_json(target.jumps(level), [asdict(jump) for jump in jumps])


def without_jumps(
    context: StudyContext, data: Sequence[LabelledFrame], level: str
) -> tuple[list[LabelledFrame], tuple[Jump, ...]]:
    """The labels that agree with their neighbours, and those that do not."""
    fidelity = context.fidelity(level)
    jumps = find_energy_jumps(data, fidelity.max_energy_jump_eV)
    for jump in jumps:
        logger.warning(
            "%s label of %s frame %s left out: %+.2f eV from what its neighbours make it",
            fidelity.name, jump.key, jump.frame_id, jump.residual_eV,
        )  # fmt: skip
    out = {jump.frame_id for jump in jumps}
    return [item for item in data if item.frame.frame_id not in out], jumps
