"""Verification stage: the high-fidelity engine judges the best minima of one defect key."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from defectscape.domain.family import UNPERTURBED, found_family
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.search.corrected_surface import Observation
from defectscape.search.relaxation import relax_all
from defectscape.search.state_verification import EngineStarts, ModelSearch, StateVerification
from defectscape.search.surface import Surface
from defectscape.search.verification import Stepper, corrected_steps
from defectscape.search.verification_criterion import first_to_verify
from defectscape.study.committees import surface_beside_engine
from defectscape.study.context import StudyContext
from defectscape.study.frames import read_starts
from defectscape.study.host import site_operations
from defectscape.study.labels import lowest_known
from defectscape.study.minima import merged, read_minima, write_verified
from defectscape.study.relearning import forget_relearned, relearned_surface

logger = logging.getLogger(__name__)


def verify_key(context: StudyContext, name: str, key: DefectKey) -> None:
    """Relax the best minima and the unperturbed start of one key with the high-fidelity engine.

    A model that erred on its minima learns the labels and searches again.
    """
    study, files = context.study, context.layout.group(name)
    settings = study.verification
    minima = tuple(minimum for minimum in read_minima(context, name) if minimum.frame.key == key)
    if not minima:
        logger.warning("%s: the search found no minimum of the model", key)
    starts = [frame for frame in read_starts(context, name) if frame.key == key]
    known = lowest_known(context, name, study.exploration.rounds).get(key)
    operations = site_operations(context, key.defect)
    last = files.round(study.exploration.rounds)
    surface = surface_beside_engine(context, last, study.exploration.training, context.fidelity_names[1])

    def label(frame: Frame) -> Label | None:
        return context.trainable_label(frame, "high")

    verification = StateVerification(
        ModelSearch(minima, surface, _steps(context, surface)),
        EngineStarts(_unperturbed(starts) if settings.plain_relaxation else None, known),
        label,
        settings,
        study.minima,
        operations,
    )
    verification.run(first_to_verify(minima, settings.minima_per_charge, known.frame if known else None, operations))
    for number in range(settings.search_again):
        if not verification.may_search_again:
            break
        error_eV, labels = verification.search_error_eV, verification.observations
        logger.info(
            "%s: the model erred by %.2f eV; it learns %d labels and searches again", key, error_eV, len(labels)
        )
        learned = relearned_surface(context, name, key, _labelled(context, key, labels))
        begin = [*starts, *(minimum.frame for minimum in minima), *verification.ends]
        relaxations = relax_all(begin, learned, study.search)
        found = merged(context, key.defect, relaxations, key, study.minima)
        is_last = number + 1 == settings.search_again
        verification.again(ModelSearch(found, learned, _steps(context, learned)), is_last)
        logger.info("%s, search %d again: %s", key, number + 1, verification.assessment().text)
    labelled = _labelled(context, key, verification.observations)
    write_verified(context, name, key, verification.verified(), labelled, verification.assessment())
    forget_relearned(context, name, key)


def _steps(context: StudyContext, surface: Surface) -> Stepper:
    """Steps with the engine's forces."""
    return corrected_steps(surface, context.study.search, limit_eV_A=context.study.verification.fmax_eV_A)


def _unperturbed(starts: Sequence[Frame]) -> Frame | None:
    """The unperturbed start of a key; its relaxation keeps the symmetry that it begins with."""
    return next((frame for frame in starts if frame.note == UNPERTURBED), None)


def _labelled(context: StudyContext, key: DefectKey, observations: Sequence[Observation]) -> list[LabelledFrame]:
    """Labelled frames to train on, of the family of structures that were found."""
    family, head = found_family(key.defect), context.fidelity_settings("high").name
    return [LabelledFrame(replace(frame, family=family), label, head) for frame, label in observations]
