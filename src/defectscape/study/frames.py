"""Structures that a study labels: starts, pool, selections, and relaxations with the low-fidelity engine."""

from collections.abc import Callable, Sequence
from pathlib import Path

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.files.extxyz import read_frames, write_frames
from defectscape.study.context import StudyContext
from defectscape.study.layout import GroupRound


def read_starts(context: StudyContext, group: str) -> tuple[Frame, ...]:
    """Starting structures of a group's relaxations, all charge states."""
    return read_frames(context.layout.group(group).starts)


def write_starts(context: StudyContext, group: str, starts: Sequence[Frame]) -> None:
    """Write them."""
    write_frames(context.layout.group(group).starts, starts)


def write_pool(context: StudyContext, group: str, pool: Sequence[Frame]) -> None:
    """Write the dense pool, without relaxations of starts: these have files of their own."""
    write_frames(context.layout.group(group).pool, pool)


def pool_frames(context: StudyContext, group: str) -> tuple[Frame, ...]:
    """Every frame that has a low-fidelity label: the pool, and the relaxations of its starts."""
    members, files = context.group(group)
    frames = {frame.frame_id: frame for frame in read_frames(files.pool)}
    if context.study.sampling.relaxed_starts:
        for key in members.keys:
            for frame in read_frames(files.relaxed(key)):
                frames.setdefault(frame.frame_id, frame)
    return tuple(frames.values())


def frames_to_label(context: StudyContext, group: str, fidelity: str, number: int) -> tuple[Frame, ...]:
    """What the labelling jobs of a fidelity label in a round: the pool, or the round's selection."""
    return read_frames(context.layout.group(group).to_label(fidelity, number))


def write_selected(context: StudyContext, group: str, fidelity: str, number: int, frames: Sequence[Frame]) -> None:
    """Write the frames that get a label of a fidelity in a round."""
    files = context.layout.group(group).round(number)
    write_frames(files.selected if fidelity == "high" else files.selected_low, frames)


def relaxed_minima(context: StudyContext, group: str, number: int) -> tuple[Frame, ...]:
    """Frames of a round's low-fidelity relaxations of minima; none in round 0."""
    return _relaxed_minima_files(context, group, number, GroupRound.relaxed)


def relaxed_minima_ends(context: StudyContext, group: str, number: int) -> tuple[Frame, ...]:
    """Where all low-fidelity relaxations of minima were, up to a round; none in round 0."""
    return _relaxed_minima_files(context, group, number, GroupRound.relaxed_ends)


def read_relaxed(context: StudyContext, group: str, number: int, key: DefectKey) -> tuple[Frame, ...]:
    """Frames of a round's low-fidelity relaxations of minima of one charge state."""
    return read_frames(context.layout.group(group).round(number).relaxed(key))


def read_relaxed_ends(context: StudyContext, group: str, number: int, key: DefectKey) -> tuple[Frame, ...]:
    """Where these relaxations ended."""
    return read_frames(context.layout.group(group).round(number).relaxed_ends(key))


def write_relaxed_ends(context: StudyContext, group: str, number: int, key: DefectKey, ends: Sequence[Frame]) -> None:
    """Write where they ended."""
    write_frames(context.layout.group(group).round(number).relaxed_ends(key), ends)


def _relaxed_minima_files(
    context: StudyContext, group: str, number: int, file: Callable[[GroupRound, DefectKey], Path]
) -> tuple[Frame, ...]:
    members, files = context.group(group)
    if number == 0 or context.study.selection.low_relaxed_minima == 0:
        return ()
    paths = [file(files.round(number), key) for key in members.keys]
    return tuple(frame for path in paths for frame in read_frames(path))


def imported_frames(context: StudyContext, group: str) -> list[Frame]:
    """Frames that were imported and are of the group's charge states."""
    members, _ = context.group(group)
    keys = set(members.keys)
    return [frame for path in context.study.imported for frame in read_frames(path) if frame.key in keys]
