"""The model as the search sees it: one fidelity of one committee, gated before its first use."""

import logging
from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from defectscape.domain.frame import Frame
from defectscape.files.tables import read_json, write_json
from defectscape.model.committee import Committee, CommitteePrediction
from defectscape.model.gates import GateReport, run_gates
from defectscape.model.history import TrainingHistory
from defectscape.search.surface import SurfacePoint
from defectscape.settings.training import Training
from defectscape.study.context import StudyContext
from defectscape.study.layout import GroupRound

logger = logging.getLogger(__name__)


def _point(prediction: CommitteePrediction) -> SurfacePoint:
    return SurfacePoint(
        prediction.energy_eV, prediction.member_energies_eV,
        prediction.forces_eV_A, prediction.force_std_eV_A,
    )  # fmt: skip


@dataclass(frozen=True)
class CommitteeSurface:
    """One fidelity of a committee, behind the search's interface.

    Attributes:
        committee: the models.
        fidelity: the head.
    """

    committee: Committee
    fidelity: str

    def evaluate(self, frame: Frame) -> SurfacePoint:
        """Committee mean and spread on one frame."""
        return self.evaluate_many([frame])[0]

    def evaluate_many(self, frames: Sequence[Frame]) -> list[SurfacePoint]:
        """Committee mean and spread on many frames."""
        return list(map(_point, self.committee.evaluate_many(frames, self.fidelity)))

    def calculator(self, charge: int) -> Any:
        """An ASE calculator of the committee mean in one charge state."""
        return self.committee.calculator(charge, self.fidelity)


def load_committee(files: GroupRound, settings: Training) -> Committee:
    """The committee of a round or of the final training."""
    paths = [files.model(member) for member in range(settings.committee)]
    return Committee.load(paths, settings.device)


def surface_beside_engine(files: GroupRound, settings: Training, fidelity: str) -> CommitteeSurface:
    """A fidelity of a committee on a CPU, where an engine runs that follows its surface.

    A committee that was trained on the high level alone gives that one: it is asked for its curvature.
    """
    committee = load_committee(files, settings.model_copy(update={"device": "cpu"}))
    known = committee.card.fidelities
    return CommitteeSurface(committee, fidelity if fidelity in known else known[-1])


def gate(
    context: StudyContext, committee: Committee, files: GroupRound, frame: Frame,
    charges: Sequence[int], target: Path,
) -> None:  # fmt: skip
    """Check that charge and fidelity reach the committee, and record what was measured.

    Raises:
        GateError: if they do not; the pipeline stops here.
    """
    report = run_gates(committee, frame, charges, committee.card.fidelities)
    logger.info("gates passed for %s", files.folder)
    write_json(target, report)


def read_gates(path: Path) -> GateReport:
    """What was measured on a committee before its first use."""
    content = read_json(path)
    energies_eV = {
        # JSON has text alone for names: a state is written as Python writes the pair.
        walk: {literal_eval(state): energy_eV for state, energy_eV in found.items()}
        for walk, found in content["energies_eV"].items()
    }
    return GateReport(**{**content, "energies_eV": energies_eV})


def read_history(files: GroupRound, member: int) -> TrainingHistory:
    """How a committee member was trained."""
    return TrainingHistory.from_json(read_json(files.history(member)))


def write_history(files: GroupRound, member: int, history: TrainingHistory) -> None:
    """Write it."""
    write_json(files.history(member), history.to_json())
