"""The truth about a study's states: every start relaxed with the high-level engine, without models.

It needs the starts alone, so it can be known before any study has run, and is the same for all that share a host
and its defects. Its labels go through the store: a run that was stopped goes on where it was.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Relaxation
from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
from defectscape.stages.host import list_sites, prepare_host
from defectscape.stages.references import label_host
from defectscape.stages.sampling import make_group_starts
from defectscape.study.context import StudyContext
from defectscape.study.frames import read_starts
from defectscape.tools.direct_relaxations import DirectSearch
from defectscape.tools.surfaces import EngineSurface

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class StateTruth:
    """All starts of one defect and charge, relaxed with the engine.

    Attributes:
        key: defect and charge.
        relaxations: one for each start, in their order; they may have failed.
        calls: labels that these took, failed ones included.
        core_s: their processor time, s.
    """

    key: DefectKey
    relaxations: tuple[Relaxation, ...]
    calls: int
    core_s: float

    @property
    def lowest_eV(self) -> float | None:
        """Energy of the lowest end that converged, eV; None if none did."""
        return min((item.energy_eV for item in self.relaxations if item.converged), default=None)


def state_path(folder: Path, study: str, key: DefectKey) -> Path:
    """Where the truth about a state is kept."""
    return folder / "truth" / study / f"{key}.json"


def known_truths(folder: Path, study: str) -> dict[DefectKey, StateTruth]:
    """What is known of a study's states so far."""
    found: dict[DefectKey, StateTruth] = {}
    for path in sorted((folder / "truth" / study).glob("*.json")):
        truth: StateTruth = decode(StateTruth, read_json(path))
        found[truth.key] = truth
    return found


def find_truth(context: StudyContext, folder: Path, keys: Sequence[str] | None = None) -> tuple[StateTruth, ...]:
    """Relax every start of a study with the high-level engine, to the study's force; a file for each state.

    Args:
        context: a study, run or not; its starts are made anew.
        folder: of the benchmark's outcomes.
        keys: states, or None for all.

    Raises:
        ConfigError: for a state that the study does not have.
    """
    starts = _starts(context)
    DirectSearch(keys=None if keys is None else tuple(keys)).check(starts)
    found = []
    for key in dict.fromkeys(frame.key for frame in starts):
        if keys is None or str(key) in keys:
            truth = _relax(context, [frame for frame in starts if frame.key == key], key)
            path = state_path(folder, context.study.study, key)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, truth)
            logger.info("%s: %d calls, %.0f core-s, in %s", key, truth.calls, truth.core_s, path)
            found.append(truth)
    return tuple(found)


def _starts(context: StudyContext) -> list[Frame]:
    prepare_host(context)
    label_host(context)
    list_sites(context)
    for group in context.groups:
        make_group_starts(context, group.name)
    return [frame for group in context.groups for frame in read_starts(context, group.name)]


def _relax(context: StudyContext, starts: Sequence[Frame], key: DefectKey) -> StateTruth:
    surface = EngineSurface(context, "high", key.defect)
    relaxations = DirectSearch().relax(starts, surface, context.study.search)
    records = surface.records()
    return StateTruth(key, relaxations, len(records), round(sum(record.core_s for record in records), 1))
