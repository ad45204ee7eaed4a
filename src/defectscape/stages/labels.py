"""Labelling stages: the frames of one chunk through the store and the engine, and their gathering."""

from collections.abc import Sequence

from defectscape.domain.consistency import Jump, find_energy_jumps
from defectscape.domain.frame import Frame
from defectscape.domain.label import LabelledFrame
from defectscape.settings.groups import label_rounds
from defectscape.study.context import StudyContext
from defectscape.study.frames import descent_frames, frames_to_label, pool_frames
from defectscape.study.labels import (
    gather,
    imported_labels,
    logger,
    read_group_data,
    round_outcomes,
    unique,
    write_data,
    write_jumps,
    write_outcomes,
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
    source = frames_to_label(context, group, level, round_number)
    frames = [frame for frame in source if in_chunk(frame, chunk, chunks)]
    title = f"{group} round {round_number} {context.fidelity(level).name} {chunk + 1}/{chunks}"
    records = context.label_many(frames, level, title)
    write_outcomes(files.labels(level, chunk, chunks), records)


def build_round_data(context: StudyContext, group: str, number: int) -> None:
    """All labels a group knows after a round: its own of all rounds, and its teachers'."""
    members, files = context.group(group)
    last = context.study.exploration.rounds
    for level in ("low", "high"):
        data: list[LabelledFrame] = []
        for teacher in members.teachers:
            data += read_group_data(context, teacher, last, level)
        data += imported_labels(context, group, level)
        for earlier in label_rounds(context.study, level, number):
            frames = (
                list(pool_frames(context, group))
                if (level, earlier) == ("low", 0)
                else list(frames_to_label(context, group, level, earlier))
            )
            if level == "low":
                frames += descent_frames(context, group, earlier)
            outcomes = round_outcomes(context, group, earlier, level)
            data += gather(context, frames, outcomes, level)
        kept, jumps = without_jumps(context, unique(data), level)
        write_data(files.round(number), level, kept)
        write_jumps(context, group, number, level, jumps)


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
