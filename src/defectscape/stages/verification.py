"""Verification stage: the high-fidelity engine judges the best minima of one defect key."""

import logging
from dataclasses import replace

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.engines.labelling import label_frame
from defectscape.files.extxyz import write_labelled
from defectscape.files.tables import load_minima, save_verified
from defectscape.search.certainty import first_to_verify
from defectscape.search.verification import Stepper, tied_steps, verify_until_certain
from defectscape.study.committees import surface_beside_engine
from defectscape.study.context import StudyContext
from defectscape.study.labels import lowest_known
from defectscape.study.layout import GroupFiles
from defectscape.study.minima import group_operations
from defectscape.study.splits import found_family

logger = logging.getLogger(__name__)


def verify_key(context: StudyContext, name: str, text: str) -> None:
    """Label, and on request relax, the best minima of one key with the high-fidelity engine."""
    key = DefectKey.parse(text)
    files = context.layout.group(name)
    minima = tuple(m for m in load_minima(files.minima) if m.frame.key == key)
    if not minima:
        logger.warning("%s: the search found no minimum, so there is nothing to verify", key)
    engine, fidelity = context.engine("high"), context.fidelity("high")

    def label(frame: Frame) -> Label | None:
        record = label_frame(frame, engine, context.store, fidelity.max_force_eV_A)
        return record.label if record.trainable else None

    step = _steps(context, files)
    settings = context.study.verification
    known = lowest_known(context, name, context.study.exploration.rounds).get(key)
    first = first_to_verify(
        minima, settings.minima_per_charge, known.frame if known else None,
        group_operations(context, context.group(name)[0]),
    )  # fmt: skip
    verified, paths = verify_until_certain(first, minima, label, step, settings)
    family = found_family(key.defect)
    labelled = [
        LabelledFrame(replace(frame, family=family), found, fidelity.name) for frame, found in paths
    ]
    save_verified(files.verified(text), verified)
    write_labelled(files.verified(text).with_suffix(".extxyz"), labelled)


def _steps(context: StudyContext, files: GroupFiles) -> Stepper:
    """Steps on the surface of the committee that found the minima."""
    exploration = context.study.exploration
    last = files.round(exploration.rounds)
    surface = surface_beside_engine(last, exploration.training, context.fidelity_names[1])
    return tied_steps(surface, context.study.search)
