"""Labels of a study: what became of each, all that a group knows after a round, and what of it lies over the prior."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from defectscape.domain.consistency import Jump
from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.domain.prior import taken_off
from defectscape.engines.prior import EnginePrior
from defectscape.files.codec import decode
from defectscape.files.extxyz import read_labelled, write_frames, write_labelled
from defectscape.files.tables import read_json, write_json
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext
from defectscape.study.frames import imported_frames
from defectscape.study.label_counts import label_jobs
from defectscape.study.layout import GroupRound

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one frame's label: enough to find it in the store.

    Attributes:
        frame_id: the frame.
        key: hash of the label in the store.
        trainable: whether it may train.
        failure: why there is no label, or None.
        core_s: what it cost, core-seconds.
    """

    frame_id: str
    key: str
    trainable: bool
    failure: str | None
    core_s: float


def outcome_of(record: LabelRecord) -> Outcome:
    """The outcome that a record stands for."""
    return Outcome(record.frame.frame_id, record.key, record.trainable, record.failure, record.core_s)


def write_outcomes(path: Path, records: Iterable[LabelRecord]) -> None:
    """Write the outcomes of a labelling job."""
    write_json(path, [outcome_of(record) for record in records])


def read_outcomes(paths: Iterable[Path]) -> tuple[Outcome, ...]:
    """Outcomes of several labelling jobs."""
    return tuple(decode(Outcome, row) for path in paths for row in read_json(path))


def write_relaxed(records: Iterable[LabelRecord], frames: Path, outcomes: Path) -> None:
    """Write the frames of low-fidelity relaxations once each, and what became of their labels."""
    found = {record.frame.frame_id: record for record in records}
    write_frames(frames, [record.frame for record in found.values()])
    write_outcomes(outcomes, found.values())


def round_outcomes(context: StudyContext, group: str, number: int, fidelity: str) -> tuple[Outcome, ...]:
    """Outcomes of all labelling jobs of one round and fidelity, low-fidelity relaxations included."""
    members, group_files = context.group(group)
    files = group_files.round(number)
    chunks = label_jobs(context.study, members, fidelity, number)
    paths = [files.labels(fidelity, chunk, chunks) for chunk in range(chunks)]
    if (fidelity, number) == ("low", 0) and context.study.sampling.relaxed_starts:
        paths += [group_files.relaxed_outcomes(key) for key in members.keys]
    if fidelity == "low" and number and context.study.selection.low_relaxed_minima:
        paths += [files.relaxed_outcomes(key) for key in members.keys]
    return read_outcomes(paths)


def gather(
    context: StudyContext, frames: Sequence[Frame], outcomes: Sequence[Outcome], fidelity: str
) -> list[LabelledFrame]:
    """The frames with the labels that may be trained on, in the frames' order.

    Raises:
        LabelError: if a label that a job reported is no longer in the store.
    """
    name = context.fidelity_settings(fidelity).name
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


def imported_labels(context: StudyContext, group: str, fidelity: str) -> list[LabelledFrame]:
    """What the store has of the imported frames at a fidelity."""
    name = context.fidelity_settings(fidelity).name
    limit_eV_A = context.fidelity_settings(fidelity).max_force_eV_A
    found = []
    for frame in imported_frames(context, group):
        record = context.record(frame, fidelity)
        if record is not None and record.label is not None and record.label.fmax_eV_A <= limit_eV_A:
            found.append(LabelledFrame(frame, record.label, name))
    return found


def read_data(context: StudyContext, files: GroupRound, fidelity: str) -> tuple[LabelledFrame, ...]:
    """All labels of a fidelity that a round, or the final training, works with."""
    path = files.data_low if fidelity == "low" else files.data_high
    return read_labelled(path, context.fidelity_settings(fidelity).name)


def write_data(files: GroupRound, fidelity: str, data: Sequence[LabelledFrame]) -> None:
    """Write them."""
    write_labelled(files.data_low if fidelity == "low" else files.data_high, data)


def read_group_data(context: StudyContext, group: str, number: int, fidelity: str) -> tuple[LabelledFrame, ...]:
    """Labels of a fidelity that a group knew after a round."""
    return read_data(context, context.layout.group(group).round(number), fidelity)


def read_jumps(context: StudyContext, group: str, number: int, fidelity: str) -> tuple[Jump, ...]:
    """Labels that were left out after a round, since their neighbours contradict them."""
    path = context.layout.group(group).round(number).jumps(fidelity)
    return tuple(decode(Jump, row) for row in read_json(path))


def write_jumps(context: StudyContext, group: str, number: int, fidelity: str, jumps: Sequence[Jump]) -> None:
    """Write them."""
    write_json(context.layout.group(group).round(number).jumps(fidelity), jumps)


def lowest_known(context: StudyContext, group: str, number: int) -> dict[DefectKey, LabelledFrame]:
    """Of each charge state the structure with the lowest high-fidelity label that a group knew after a round."""
    lowest: dict[DefectKey, LabelledFrame] = {}
    for item in read_group_data(context, group, number, "high"):
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


def over_prior(context: StudyContext, data: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The data with the prior taken off, in their order; without those that it fails for, which its store records.

    The prior's values come from its store, or are computed now and kept there. Without a prior, the data as they are.
    """
    if context.prior is None:
        return list(data)
    return [taken_off(item, value) for item, value in _with_values(context.prior, data)]


def known_to_prior(context: StudyContext, data: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The data that the prior has a value for: all of them without a prior."""
    if context.prior is None:
        return list(data)
    return [item for item, _ in _with_values(context.prior, data)]


def _with_values(prior: EnginePrior, data: Sequence[LabelledFrame]) -> list[tuple[LabelledFrame, Label]]:
    """The data that the prior does not fail for, with its values."""
    values = prior.label_many([item.frame for item in data])
    return [(item, value) for item, value in zip(data, values, strict=True) if value is not None]
