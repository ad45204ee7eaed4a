"""A committee that goes on learning inside a job: from labels that the job made, before any other stage sees them."""

import logging
import shutil
from collections.abc import Sequence

from defectscape.domain.keys import DefectKey
from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_seed
from defectscape.model.checkpoint import inputs_digest
from defectscape.model.committee import Committee
from defectscape.model.saving import load_network, weights_path
from defectscape.model.training import train_member
from defectscape.study.committees import CommitteeSurface, of_fidelity
from defectscape.study.context import StudyContext
from defectscape.study.teaching import training_data

logger = logging.getLogger(__name__)


def relearned_surface(
    context: StudyContext, group: str, key: DefectKey, labels: Sequence[LabelledFrame]
) -> CommitteeSurface:
    """The high-fidelity surface of a group's last committee, trained on with further labels.

    Its models are kept until ``forget_relearned``: a job that is killed goes on with the same ones, whose steps have
    their labels in the store. Trained again on another processor they would differ, and so would all that follows.

    Args:
        context, group: whose committee.
        key: whose job.
        labels: of the high-fidelity level, of the group's defect.
    """
    study = context.study
    settings = study.exploration.training.model_copy(update={"device": "cpu"})
    files, rounds = context.layout.group(group), study.exploration.rounds
    data = training_data(context, group, rounds, labels)
    paths = []
    for member in range(settings.committee):
        start = files.round(rounds).model(member)
        seed = derive_seed(study.seed, "train", group, member)
        digest = inputs_digest(data.train, data.valid, settings, seed, load_network(start))
        path = files.relearned(key) / f"{digest[:16]}.model"
        paths.append(path)
        if weights_path(path).is_file():
            logger.info("member %d has learned these labels already", member)
            continue
        train_member(
            data.train,
            data.valid,
            context.fidelity_names,
            settings,
            seed=seed,
            member=member,
            output=path,
            warm_start=start,
            checkpoint=path.with_suffix(".checkpoint"),
            prior="" if context.prior is None else context.prior.name,
            per_composition=data.per_composition,
        )
    committee = Committee.load(paths, settings.device, context.prior)
    return of_fidelity(committee, context.fidelity_names[1])


def forget_relearned(context: StudyContext, group: str, key: DefectKey) -> None:
    """Remove the models of a job that has ended: the final model learns its labels, too."""
    shutil.rmtree(context.layout.group(group).relearned(key), ignore_errors=True)
