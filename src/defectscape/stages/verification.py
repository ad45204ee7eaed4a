"""Verification stage: the high-fidelity engine judges the best minima of one defect key."""

import logging
from dataclasses import replace

from defectscape.domain.family import found_family
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.search.verification import Stepper, corrected_steps, verify_until_certain
from defectscape.search.verification_criterion import first_to_verify
from defectscape.study.committees import surface_beside_engine
from defectscape.study.context import StudyContext
from defectscape.study.host import site_operations
from defectscape.study.labels import lowest_known
from defectscape.study.layout import GroupFiles
from defectscape.study.minima import read_minima, write_verified

logger = logging.getLogger(__name__)


def verify_key(context: StudyContext, name: str, key: DefectKey) -> None:
    """Label, and on request relax, the best minima of one key with the high-fidelity engine."""
    minima = tuple(m for m in read_minima(context, name) if m.frame.key == key)
    if not minima:
        logger.warning("%s: the search found no minimum, so there is nothing to verify", key)

    def label(frame: Frame) -> Label | None:
        return context.trainable_label(frame, "high")

    step = _steps(context, context.layout.group(name))
    settings = context.study.verification
    known = lowest_known(context, name, context.study.exploration.rounds).get(key)
    first = first_to_verify(
        minima, settings.minima_per_charge, known.frame if known else None, site_operations(context, key.defect)
    )
    verified, paths = verify_until_certain(first, minima, label, step, settings)
    family, head = found_family(key.defect), context.fidelity_settings("high").name
    labelled = [LabelledFrame(replace(frame, family=family), found, head) for frame, found in paths]
    write_verified(context, name, key, verified, labelled)


def _steps(context: StudyContext, files: GroupFiles) -> Stepper:
    """Steps on the surface of the committee that found the minima."""
    exploration = context.study.exploration
    last = files.round(exploration.rounds)
    surface = surface_beside_engine(context, last, exploration.training, context.fidelity_names[1])
    return corrected_steps(surface, context.study.search)
