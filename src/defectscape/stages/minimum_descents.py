"""Low-fidelity relaxations of found minima: they lead the model downhill, and every step is a label.

A label at a minimum of the model says that the model is wrong there; where it is downhill from there, it
says for the next step only. So the cheap engine goes on a few steps before the next round's frames are chosen.
"""

import logging
from dataclasses import replace

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.engines.labelling import label_frame
from defectscape.files.extxyz import write_frames
from defectscape.files.tables import load_relaxations
from defectscape.search.merging import foremost
from defectscape.search.tied import lowest_tie
from defectscape.search.verification import descend, tied_steps
from defectscape.stages.context import StudyContext
from defectscape.stages.descents import write_descents
from defectscape.stages.sampling import found_family
from defectscape.stages.search import merged
from defectscape.stages.surface import surface_beside_engine
from defectscape.store.record import LabelRecord

logger = logging.getLogger(__name__)


def relax_minima(context: StudyContext, name: str, number: int, text: str) -> None:
    """Relax the lowest minima of one key, of the search before round ``number``, with the low-fidelity engine.

    A step goes to the minimum of the searching committee's low-fidelity surface tied to all labels of the
    relaxation, as in verification. The lowest frame of each is its end.
    """
    key = DefectKey.parse(text)
    group, files = context.group(name)
    study, before, here = context.study, files.round(number - 1), files.round(number)
    relaxations = load_relaxations(before.relaxations)
    lowest = merged(context, group, relaxations, key, study.exploration.minima)
    engine, fidelity = context.engine("low"), context.fidelity("low")
    surface = surface_beside_engine(before, study.exploration.training, fidelity.name)
    # A step that ends where the tied surface is flatter than the limit asks for could not reach it.
    limit_eV_A = study.sampling.relaxation_fmax_eV_A
    fine = {"fmax_eV_A": min(study.exploration.search.fmax_eV_A, limit_eV_A / 2)}
    settings = study.exploration.search.model_copy(update=fine)
    step = tied_steps(surface, settings, f"{fidelity.name} relaxation")
    records: list[LabelRecord] = []

    def label(frame: Frame) -> Label | None:
        found = label_frame(frame, engine, context.store, fidelity.max_force_eV_A)
        records.append(found)
        return found.label if found.trainable else None

    ends = []
    for minimum in foremost(lowest, study.selection.low_relaxed_minima):
        frame = replace(minimum.frame, family=found_family(key.defect))
        path = descend(frame, label, step, study.selection.low_relaxation_steps, limit_eV_A)
        if path:
            ends.append(lowest_tie(path)[0])
            logger.info(
                "%s, minimum %d: %d steps, %.3f eV down", key, minimum.rank, len(path) - 1,
                path[0][1].energy_eV - lowest_tie(path)[1].energy_eV,
            )  # fmt: skip
    write_descents(records, here.relaxed(text), here.relaxed_outcomes(text))
    write_frames(here.relaxed_ends(text), ends)
