"""Low-fidelity relaxations of a few starts: every step is a label, and a frame of the pool."""

from collections.abc import Iterator
from dataclasses import replace

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.sampling.splits import starts_to_relax
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext
from defectscape.study.engine_relaxation import relaxation_records
from defectscape.study.frames import read_starts
from defectscape.study.labels import write_relaxed
from defectscape.study.splits import read_splits


def relax_starts(context: StudyContext, name: str, key: DefectKey) -> None:
    """Relax some starts of one key with the low-fidelity engine and keep every step."""
    files = context.layout.group(name)
    starts = [frame for frame in read_starts(context, name) if frame.key == key]
    settings = context.study.sampling
    chosen = starts_to_relax(starts, read_splits(context, name), settings.relaxed_starts, context.study.seed)
    records = [record for start in chosen for record in _relax(context, start)]
    write_relaxed(records, files.relaxed(key), files.relaxed_outcomes(key))


def _relax(context: StudyContext, start: Frame) -> Iterator[LabelRecord]:
    """The records of one relaxation, from the start on; a failed label ends it."""
    settings, name = context.study.sampling, context.fidelity_settings("low").name
    records = relaxation_records(context, "low", start, settings.relaxation_fmax_eV_A, settings.relaxation_steps)
    for step, record in enumerate(records):
        frame = (
            start
            if step == 0
            else replace(
                record.frame,
                origin=Origin.RELAXATION,
                parent=start.frame_id,
                note=f"{start.note}, {name} relaxation step {step}",
            )
        )
        yield replace(record, frame=frame)
