"""Labels of a study: what became of each, and the frames and labels that a group knows."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import LabelledFrame
from defectscape.files.extxyz import read_frames, read_labelled, write_frames
from defectscape.files.tables import read_json, write_json
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext
from defectscape.study.layout import GroupRound

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one frame's label: enough to find it in the store."""

    frame_id: str
    key: str
    trainable: bool
    failure: str | None
    core_s: float


def outcome_of(record: LabelRecord) -> Outcome:
    """The outcome that a record stands for."""
    return Outcome(
        record.frame.frame_id, record.key, record.trainable, record.failure, record.core_s
    )


def read_outcomes(paths: Iterable[Path]) -> tuple[Outcome, ...]:
    """Outcomes of several labelling jobs."""
    return tuple(Outcome(**row) for path in paths for row in read_json(path))


def pool_frames(context: StudyContext, group: str) -> tuple[Frame, ...]:
    """Every frame that has a low-fidelity label: the pool, and the relaxations of its starts."""
    members, files = context.group(group)
    frames = {frame.frame_id: frame for frame in read_frames(files.pool)}
    if context.study.sampling.relaxed_starts:
        for key in members.keys:
            for frame in read_frames(files.relaxed(str(key))):
                frames.setdefault(frame.frame_id, frame)
    return tuple(frames.values())


def descent_frames(context: StudyContext, group: str, number: int) -> tuple[Frame, ...]:
    """Frames of a round's low-fidelity relaxations of minima; none in round 0."""
    return _descents(context, group, number, GroupRound.relaxed)


def descent_ends(context: StudyContext, group: str, number: int) -> tuple[Frame, ...]:
    """Where all low-fidelity relaxations of minima were, up to a round; none in round 0."""
    return _descents(context, group, number, GroupRound.relaxed_ends)


def _descents(
    context: StudyContext, group: str, number: int, file: Callable[[GroupRound, str], Path]
) -> tuple[Frame, ...]:
    members, files = context.group(group)
    if number == 0 or context.study.selection.low_relaxed_minima == 0:
        return ()
    paths = [file(files.round(number), str(key)) for key in members.keys]
    return tuple(frame for path in paths for frame in read_frames(path))


def round_outcomes(
    context: StudyContext, group: str, number: int, level: str
) -> tuple[Outcome, ...]:
    """Outcomes of all labelling jobs of one round and level, low-fidelity relaxations included."""
    members, group_files = context.group(group)
    files = group_files.round(number)
    chunks = context.study.label_jobs
    paths = [files.labels(level, chunk, chunks) for chunk in range(chunks)]
    if (level, number) == ("low", 0) and context.study.sampling.relaxed_starts:
        paths += [group_files.relaxed_outcomes(str(key)) for key in members.keys]
    if level == "low" and number and context.study.selection.low_relaxed_minima:
        paths += [files.relaxed_outcomes(str(key)) for key in members.keys]
    return read_outcomes(paths)


def gather(
    context: StudyContext, frames: Sequence[Frame], outcomes: Sequence[Outcome], level: str
) -> list[LabelledFrame]:
    """The frames with the labels that may be trained on, in the frames' order.

    Raises:
        LabelError: if a label that a job reported is no longer in the store.
    """
    name = context.fidelity(level).name
    by_frame = {outcome.frame_id: outcome for outcome in outcomes}
    gathered = []
    for frame in frames:
        outcome = by_frame.get(frame.frame_id)
        if outcome is None or not outcome.trainable:
            continue
        record = context.store.get(outcome.key)
        if record is None or record.label is None:
            raise LabelError(
                f"{name} label of {frame.key} frame {frame.frame_id}",
                f"not in the store {context.study.label_store}",
                "The store lost it; delete the study's labels_* folders and run again",
            )
        gathered.append(LabelledFrame(frame, record.label, name))
    failures = Counter(o.failure for o in outcomes if o.failure is not None)
    for reason, count in failures.items():
        logger.warning("%d %s labels failed and are left out: %s", count, name, reason)
    return gathered


def imported_frames(context: StudyContext, group: str) -> list[Frame]:
    """Frames that were imported and are of the group's keys."""
    members, _ = context.group(group)
    keys = set(members.keys)
    return [
        frame for path in context.study.imported for frame in read_frames(path) if frame.key in keys
    ]


def imported_labels(context: StudyContext, group: str, level: str) -> list[LabelledFrame]:
    """What the store has of the imported frames at a level."""
    name = context.fidelity(level).name
    limit_eV_A = context.fidelity(level).max_force_eV_A
    found = []
    for frame in imported_frames(context, group):
        record = context.record(frame, level)
        if record is not None and record.label is not None and record.label.fmax_eV_A <= limit_eV_A:
            found.append(LabelledFrame(frame, record.label, name))
    return found


def read_group_data(
    context: StudyContext, group: str, number: int, level: str, name: str
) -> tuple[LabelledFrame, ...]:
    """Labels of one level that a group knew after a round."""
    files = context.layout.group(group).round(number)
    return read_labelled(files.data_low if level == "low" else files.data_high, name)


def lowest_known(context: StudyContext, group: str, number: int) -> dict[DefectKey, LabelledFrame]:
    """The structure of each key that the high-fidelity engine has lowest, of all that a group knew after a round."""
    lowest: dict[DefectKey, LabelledFrame] = {}
    for item in read_group_data(context, group, number, "high", context.fidelity("high").name):
        best = lowest.setdefault(item.frame.key, item)
        if item.label.energy_eV < best.label.energy_eV:
            lowest[item.frame.key] = item
    return lowest


def unique(data: Iterable[LabelledFrame]) -> list[LabelledFrame]:
    """Each frame once, the first time it comes."""
    seen: dict[str, LabelledFrame] = {}
    for item in data:
        seen.setdefault(item.frame.frame_id, item)
    return list(seen.values())


def write_descents(records: Iterable[LabelRecord], frames: Path, outcomes: Path) -> None:
    """Frames once each, and what became of their labels."""
    found = {record.frame.frame_id: record for record in records}
    write_frames(frames, [record.frame for record in found.values()])
    write_json(outcomes, [asdict(outcome_of(record)) for record in found.values()])
