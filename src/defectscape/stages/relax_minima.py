"""Low-fidelity relaxations of found minima: they lead the model downhill, and every step is a label.

A label at a minimum of the model says that the model is wrong there; where it is downhill from there, it
says for the next step only. So the cheap engine goes on a few steps before the next round's frames are chosen.
A relaxation that did not come to its end goes on in the next round, beside those of minima that none of them
has passed; and later searches start from the ends, too.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from defectscape.domain.family import found_family
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.search.corrected_surface import lowest_observation
from defectscape.search.matching import rmsd_A
from defectscape.search.merging import lowest_including_doubtful
from defectscape.search.verification import corrected_steps, relax_with_engine
from defectscape.store.record import LabelRecord
from defectscape.study.committees import surface_beside_engine
from defectscape.study.context import StudyContext
from defectscape.study.frames import read_relaxed, read_relaxed_ends, write_relaxed_ends
from defectscape.study.host import site_operations
from defectscape.study.labels import write_relaxed
from defectscape.study.minima import merged, read_relaxations
from defectscape.study.settling import settled_before

logger = logging.getLogger(__name__)


def relax_minima(context: StudyContext, name: str, number: int, key: DefectKey) -> None:
    """Relax minima of one key, of the search before round ``number``, with the low-fidelity engine.

    A step goes to the minimum of the searching committee's low-fidelity surface corrected by all labels of the
    relaxation, as in verification. The lowest frame of each is its end; those of the rounds before come first.
    Where the key is settled, its relaxations stay where they were.
    """
    files, study = context.layout.group(name), context.study
    before, here = files.round(number - 1), files.round(number)
    if key in settled_before(context, name, number):
        write_relaxed([], here.relaxed(key), here.relaxed_outcomes(key))
        write_relaxed_ends(context, name, number, key, _begun(context, name, number, key))
        return
    head = context.fidelity_settings("low").name
    surface = surface_beside_engine(context, before, study.exploration.training, head)
    limit_eV_A = study.sampling.relaxation_fmax_eV_A
    step = corrected_steps(surface, study.exploration.search, f"{head} relaxation", limit_eV_A)
    passed = [f for n in range(1, number) for f in read_relaxed(context, name, n, key)]
    known = {frame.frame_id for frame in passed}
    records: list[LabelRecord] = []

    def label(frame: Frame) -> Label | None:
        found = context.label(frame, "low")
        if frame.frame_id not in known:
            records.append(found)
        return found.label if found.trainable else None

    ends = []
    for start in [*_begun(context, name, number, key), *_fresh(context, name, number, key, passed)]:
        path = relax_with_engine(start, label, step, study.selection.low_relaxation_steps, limit_eV_A)
        if path:
            ends.append(lowest_observation(path)[0])
            logger.info(
                "%s, %s: %d steps, %.3f eV down",
                key,
                start.note,
                len(path) - 1,
                path[0][1].energy_eV - lowest_observation(path)[1].energy_eV,
            )
    write_relaxed(records, here.relaxed(key), here.relaxed_outcomes(key))
    write_relaxed_ends(context, name, number, key, ends)


def _begun(context: StudyContext, name: str, number: int, key: DefectKey) -> tuple[Frame, ...]:
    """Ends of the rounds before: one label, which the store has, tells those that are at their end."""
    return read_relaxed_ends(context, name, number - 1, key) if number > 1 else ()


def _fresh(context: StudyContext, name: str, number: int, key: DefectKey, passed: Sequence[Frame]) -> list[Frame]:
    """The lowest minima of the search before, of those that no relaxation has passed."""
    study, group = context.study, context.group(name)[0]
    settings = study.exploration.minima
    operations = site_operations(context, group.defect)
    relaxations = read_relaxations(context, name, number - 1)
    minima = [
        minimum
        for minimum in merged(context, group.defect, relaxations, key, settings)
        if all(rmsd_A(minimum.frame, frame, operations) >= settings.merge_rmsd_A for frame in passed)
    ]
    return [
        replace(minimum.frame, family=found_family(key.defect))
        for minimum in lowest_including_doubtful(minima, study.selection.low_relaxed_minima)
    ]
