"""The model as the search sees it: one fidelity of one committee, gated before its first use."""

import logging
from ast import literal_eval
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from defectscape.domain.frame import Frame
from defectscape.domain.prediction import Prediction
from defectscape.files.tables import read_json, write_json
from defectscape.model.checks import CheckReport, check_states
from defectscape.model.committee import Committee
from defectscape.model.history import TrainingHistory
from defectscape.settings.training import TrainingSettings
from defectscape.study.context import StudyContext
from defectscape.study.layout import GroupRound

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CommitteeSurface:
    """One fidelity of a committee, behind the search's interface.

    Attributes:
        committee: the models.
        fidelity: the head.
    """

    committee: Committee
    fidelity: str

    def evaluate(self, frame: Frame) -> Prediction:
        """Committee mean and spread on one frame."""
        return self.evaluate_many([frame])[0]

    def evaluate_many(self, frames: Sequence[Frame]) -> tuple[Prediction, ...]:
        """Committee mean and spread on many frames."""
        return self.committee.evaluate_many(frames, self.fidelity)


def load_committee(context: StudyContext, files: GroupRound, settings: TrainingSettings) -> Committee:
    """The committee of a round or of the final training, over the study's prior."""
    paths = [files.model(member) for member in range(settings.committee)]
    return Committee.load(paths, settings.device, context.prior)


def surface_beside_engine(
    context: StudyContext, files: GroupRound, settings: TrainingSettings, fidelity: str
) -> CommitteeSurface:
    """A fidelity of a committee on a CPU, where an engine runs that follows its surface.

    A committee that was trained on the high level alone gives that one: it is asked for its curvature.
    """
    return of_fidelity(load_committee(context, files, settings.model_copy(update={"device": "cpu"})), fidelity)


def of_fidelity(committee: Committee, fidelity: str) -> CommitteeSurface:
    """A fidelity of a committee, or its only one."""
    known = committee.card.fidelities
    return CommitteeSurface(committee, fidelity if fidelity in known else known[-1])


def check_committee(
    context: StudyContext, committee: Committee, files: GroupRound, frame: Frame, charges: Sequence[int], target: Path
) -> None:
    """Check that charge and fidelity reach the committee, and record what was measured.

    Raises:
        CheckError: if they do not; the pipeline stops here.
    """
    report = check_states(committee, frame, charges, committee.card.fidelities)
    logger.info("checks passed for %s", files.folder)
    write_check_report(target, report)


def write_check_report(path: Path, report: CheckReport) -> None:
    """Write what was measured on a committee before its first use.

    JSON has text alone for names: a state (charge and fidelity) is written as Python writes the pair.
    """
    energies_eV = {
        walk: {str(state): energy_eV for state, energy_eV in found.items()}
        for walk, found in report.energies_eV.items()
    }
    write_json(path, asdict(report) | {"energies_eV": energies_eV})


def read_check_report(path: Path) -> CheckReport:
    """What ``write_check_report`` wrote."""
    content = read_json(path)
    energies_eV = {
        walk: {literal_eval(state): energy_eV for state, energy_eV in found.items()}
        for walk, found in content["energies_eV"].items()
    }
    return CheckReport(**{**content, "energies_eV": energies_eV})


def read_history(files: GroupRound, member: int) -> TrainingHistory:
    """How a committee member was trained."""
    return TrainingHistory.from_json(read_json(files.history(member)))


def write_history(files: GroupRound, member: int, history: TrainingHistory) -> None:
    """Write it."""
    write_json(files.history(member), history.to_json())
