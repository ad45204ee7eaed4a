"""Verification stage: the high-fidelity engine judges the best minima of one defect key."""

import logging
from dataclasses import replace

from defectscape.domain.family import UNPERTURBED, found_family
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.search.state_verification import EngineStarts, StateVerification
from defectscape.search.verification import corrected_steps
from defectscape.search.verification_criterion import first_to_verify
from defectscape.study.committees import CommitteeSurface, surface_beside_engine
from defectscape.study.context import StudyContext
from defectscape.study.frames import read_starts
from defectscape.study.host import site_operations
from defectscape.study.labels import lowest_known
from defectscape.study.layout import GroupFiles
from defectscape.study.minima import read_minima, write_verified

logger = logging.getLogger(__name__)


def verify_key(context: StudyContext, name: str, key: DefectKey) -> None:
    """Label, and on request relax, the best minima of one key with the high-fidelity engine."""
    minima = tuple(m for m in read_minima(context, name) if m.frame.key == key)
    if not minima:
        logger.warning("%s: the search found no minimum of the model", key)

    def label(frame: Frame) -> Label | None:
        return context.trainable_label(frame, "high")

    study, files = context.study, context.layout.group(name)
    settings = study.verification
    surface = _surface(context, files)
    # A step that ends where the corrected surface is flatter than the limit asks for could not reach it.
    fine = {"fmax_eV_A": min(study.search.fmax_eV_A, settings.fmax_eV_A / 2)}
    step = corrected_steps(surface, study.search.model_copy(update=fine))
    known = lowest_known(context, name, study.exploration.rounds).get(key)
    operations = site_operations(context, key.defect)
    first = first_to_verify(minima, settings.minima_per_charge, known.frame if known else None, operations)
    starts = EngineStarts(_unperturbed(context, name, key) if settings.plain_relaxation else None, known)
    verification = StateVerification(minima, starts, label, surface, step, settings, study.minima)
    verified, paths = verification.run(first)
    family, head = found_family(key.defect), context.fidelity_settings("high").name
    labelled = [LabelledFrame(replace(frame, family=family), found, head) for frame, found in paths]
    write_verified(context, name, key, verified, labelled)


def _surface(context: StudyContext, files: GroupFiles) -> CommitteeSurface:
    """That of the committee which found the minima."""
    exploration = context.study.exploration
    last = files.round(exploration.rounds)
    return surface_beside_engine(context, last, exploration.training, context.fidelity_names[1])


def _unperturbed(context: StudyContext, name: str, key: DefectKey) -> Frame | None:
    """The unperturbed start of a key; its relaxation keeps the symmetry that it begins with."""
    starts = (frame for frame in read_starts(context, name) if frame.key == key and frame.note == UNPERTURBED)
    return next(starts, None)
