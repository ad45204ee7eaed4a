"""A committee that goes on learning inside a job: from labels that the job made, before any other stage sees them."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from defectscape.domain.family import Split
from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_seed
from defectscape.model.committee import Committee
from defectscape.model.training import train_member
from defectscape.study.committees import CommitteeSurface, of_fidelity
from defectscape.study.context import StudyContext
from defectscape.study.labels import over_prior, read_group_data, unique
from defectscape.study.splits import of_split, read_splits


def relearned_surface(context: StudyContext, group: str, labels: Sequence[LabelledFrame]) -> CommitteeSurface:
    """The high-fidelity surface of a group's last committee, trained on with further labels.

    Its models are not kept: the labels are in the store, and the same training follows from them.

    Args:
        context, group: whose committee.
        labels: of the high-fidelity level, of the group's defect.
    """
    study = context.study
    settings = study.exploration.training.model_copy(update={"device": "cpu"})
    files, rounds = context.layout.group(group), study.exploration.rounds
    low, high = (read_group_data(context, group, rounds, fidelity) for fidelity in ("low", "high"))
    data = over_prior(context, [*low, *unique([*high, *labels])])
    splits = read_splits(context, group)
    with TemporaryDirectory(dir=files.folder, prefix="relearning_") as folder:
        paths = [Path(folder) / f"model_{member}.pt" for member in range(settings.committee)]
        for member, path in enumerate(paths):
            train_member(
                of_split(data, splits, Split.TRAIN),
                of_split(data, splits, Split.VALID),
                context.fidelity_names,
                settings,
                seed=derive_seed(study.seed, "train", group, member),
                member=member,
                output=path,
                warm_start=files.round(rounds).model(member),
                prior="" if context.prior is None else context.prior.name,
            )
        committee = Committee.load(paths, settings.device, context.prior)
    return of_fidelity(committee, context.fidelity_names[1])
