"""Labelling stages: the frames of one chunk through the store and the engine, and their gathering."""

from collections.abc import Sequence

from defectscape.domain.consistency import Jump, find_energy_jumps
from defectscape.domain.frame import Frame
from defectscape.domain.label import LabelledFrame
from defectscape.settings.groups import label_rounds
from defectscape.study.context import StudyContext
from defectscape.study.frames import frames_to_label, pool_frames, relaxed_minima
from defectscape.study.label_counts import label_jobs
from defectscape.study.labels import (
    gather,
    imported_labels,
    known_to_prior,
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


def label_chunk(context: StudyContext, group: str, round_number: int, fidelity: str, chunk: int) -> None:
    """Label one chunk of the pool (``low``, round 0) or of a round's selection."""
    files = context.layout.group(group).round(round_number)
    chunks = label_jobs(context.study, context.group(group)[0], fidelity, round_number)
    source = frames_to_label(context, group, fidelity, round_number)
    frames = [frame for frame in source if in_chunk(frame, chunk, chunks)]
    title = f"{group} round {round_number} {context.fidelity_settings(fidelity).name} {chunk + 1}/{chunks}"
    records = context.label_job(frames, fidelity, title)
    if context.prior is not None:
        # Here, where labels are spread over jobs; trainings find the values in the prior's store.
        context.prior.label_many([record.frame for record in records if record.label is not None])
    write_outcomes(files.labels(fidelity, chunk, chunks), records)


def build_round_data(context: StudyContext, group: str, number: int) -> None:
    """All labels a group knows after a round: its own of all rounds, and those of the groups it learns from."""
    members, files = context.group(group)
    last = context.study.exploration.rounds
    for fidelity in ("low", "high"):
        data: list[LabelledFrame] = []
        for source in members.learns_from:
            data += read_group_data(context, source, last, fidelity)
        data += imported_labels(context, group, fidelity)
        for earlier in label_rounds(context.study, fidelity, number):
            frames = (
                list(pool_frames(context, group))
                if (fidelity, earlier) == ("low", 0)
                else list(frames_to_label(context, group, fidelity, earlier))
            )
            if fidelity == "low":
                frames += relaxed_minima(context, group, earlier)
            outcomes = round_outcomes(context, group, earlier, fidelity)
            data += gather(context, frames, outcomes, fidelity)
        kept, jumps = without_jumps(context, known_to_prior(context, unique(data)), fidelity)
        write_data(files.round(number), fidelity, kept)
        write_jumps(context, group, number, fidelity, jumps)


def without_jumps(
    context: StudyContext, data: Sequence[LabelledFrame], fidelity: str
) -> tuple[list[LabelledFrame], tuple[Jump, ...]]:
    """The labels that agree with their neighbours, and those that do not."""
    fidelity_settings = context.fidelity_settings(fidelity)
    jumps = find_energy_jumps(data, fidelity_settings.max_energy_jump_eV)
    for jump in jumps:
        logger.warning(
            "%s label of %s frame %s left out: %+.2f eV from what its neighbours make it",
            fidelity_settings.name,
            jump.key,
            jump.frame_id,
            jump.residual_eV,
        )
    out = {jump.frame_id for jump in jumps}
    return [item for item in data if item.frame.frame_id not in out], jumps
