"""Which charge states of a group are settled after a round, and rounds that take over what is there.

The model is asked what it said of its lowest minima before it saw their labels. Its mean error in the charge state is
taken off: it moves all structures alike, and the next training learns it from any label. The file is written with
``exploration.settled_eV`` alone.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from defectscape.domain.keys import DefectKey
from defectscape.domain.label import LabelledFrame
from defectscape.domain.minimum import Minimum, Relaxation
from defectscape.domain.prediction import Prediction
from defectscape.files.atomic import write_bytes
from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
from defectscape.search.matching import Operations, rmsd_A
from defectscape.search.merging import lowest_including_doubtful
from defectscape.search.surface import Surface
from defectscape.study.context import StudyContext
from defectscape.study.host import site_operations
from defectscape.study.labels import read_group_data
from defectscape.study.minima import merged, read_relaxations

logger = logging.getLogger(__name__)

JUDGED_MINIMA = 2
"""Lowest minima of a charge state that a round labels in any case; as many again where doubtful ones lie below."""
SAME_PLACE_A = 0.01
"""A label this close to a minimum is its label, A: the minimum is not labelled again where such a one was there."""


@dataclass(frozen=True)
class Standing:
    """How far the model of a round is from the engine in one charge state.

    Attributes:
        key: the charge state.
        offset_eV: median error of the round's model on the labels that it knew, model less engine, eV; None without
            labels.
        error_eV: largest error of the model before it at its lowest minima, less its offset, eV; None where the
            lowest one has no label.
        settled: whether the next round need select nothing.
    """

    key: DefectKey
    offset_eV: float | None
    error_eV: float | None
    settled: bool


def offset_eV(points: Sequence[Prediction], labelled: Sequence[LabelledFrame]) -> float | None:
    """Median of model less engine over labelled frames of one charge state, eV; None if there are none."""
    if not labelled:
        return None
    errors = [point.energy_eV - item.label.energy_eV for point, item in zip(points, labelled, strict=True)]
    return float(np.median(errors))


def error_at_minima_eV(
    minima: Sequence[Minimum], labelled: Sequence[LabelledFrame], offset_eV: float | None, operations: Operations
) -> float | None:
    """Largest error of a model at its lowest minima, less its offset, eV; None where the lowest has no label.

    Args:
        minima: that the model found in one charge state, the lowest first.
        labelled: labels of that charge state that there are by now.
        offset_eV: the model's mean error in the charge state, eV; None if it is not known.
        operations: symmetry operations of the host's supercell to compare under.
    """
    judged = lowest_including_doubtful(minima, JUDGED_MINIMA)
    labels_eV = [_label_eV(minimum, labelled, operations) for minimum in judged]
    if offset_eV is None or not labels_eV or labels_eV[0] is None:
        return None
    pairs = zip(judged, labels_eV, strict=True)
    return max(abs(minimum.energy_eV - label - offset_eV) for minimum, label in pairs if label is not None)


def _label_eV(minimum: Minimum, labelled: Sequence[LabelledFrame], operations: Operations) -> float | None:
    for item in labelled:
        if item.frame.frame_id == minimum.frame.frame_id:
            return item.label.energy_eV
    for item in labelled:
        if rmsd_A(minimum.frame, item.frame, operations) < SAME_PLACE_A:
            return item.label.energy_eV
    return None


def lowest_is_labelled(
    minima: Sequence[Minimum], labelled: Sequence[LabelledFrame], operations: Operations, merge_rmsd_A: float
) -> bool:
    """Whether the lowest minimum, and the lowest that is not doubtful, are structures that have a label.

    Args:
        minima: of one charge state, the lowest first.
        labelled: its labels.
        operations: symmetry operations of the host's supercell to compare under.
        merge_rmsd_A: RMSD below which two structures are one, A.
    """
    lowest = lowest_including_doubtful(minima, 1)
    return bool(lowest) and all(
        any(rmsd_A(minimum.frame, item.frame, operations) < merge_rmsd_A for item in labelled) for minimum in lowest
    )


def read_standings(context: StudyContext, group: str, number: int) -> tuple[Standing, ...]:
    """How the charge states of a group stand after the search of a round."""
    rows = read_json(context.layout.group(group).round(number).standings)
    return tuple(decode(Standing, row) for row in rows)


def settled_before(context: StudyContext, group: str, number: int) -> set[DefectKey]:
    """Charge states that a round selects nothing for; none where rounds are the same for all."""
    if context.study.exploration.settled_eV is None or number == 0:
        return set()
    return {standing.key for standing in read_standings(context, group, number - 1) if standing.settled}


def all_settled_before(context: StudyContext, group: str, number: int) -> bool:
    """Whether a round takes over what the one before left."""
    if context.study.exploration.settled_eV is None or number == 0:
        return False
    return all(standing.settled for standing in read_standings(context, group, number - 1))


def take_over(pairs: Iterable[tuple[Path, Path]]) -> None:
    """Copy files of the round before: source and target of each.

    No links: Snakemake sets the time of what a job wrote, and a link's would be that of the round before, too.
    """
    for source, target in pairs:
        write_bytes(target, source.read_bytes())
        logger.info("%s is taken over from %s: all charge states are settled", target.name, source.parent)


def judge(
    context: StudyContext, group: str, number: int, surface: Surface, found: Sequence[Relaxation]
) -> tuple[Standing, ...]:
    """Say how the charge states of a group stand after a round's search, and keep it.

    Args:
        context, group, number: of the round.
        surface: its committee's, of the high fidelity.
        found: relaxations of its search.
    """
    members, files = context.group(group)
    exploration = context.study.exploration
    operations = site_operations(context, members.defect)
    before = {s.key: s for s in read_standings(context, group, number - 1)} if number else {}
    relaxations = read_relaxations(context, group, number - 1) if number else ()
    labels = read_group_data(context, group, number, "high")
    standings = []
    for key in members.keys:
        labelled = [item for item in labels if item.frame.key == key]
        last = before.get(key)
        error_eV = None
        if last is not None and last.settled:
            # Nothing was labelled since.
            error_eV = last.error_eV
        elif last is not None:
            minima = merged(context, members.defect, relaxations, key, exploration.minima)
            error_eV = error_at_minima_eV(minima, labelled, last.offset_eV, operations)
        now = merged(context, members.defect, found, key, exploration.minima)
        known = lowest_is_labelled(now, labelled, operations, exploration.minima.merge_rmsd_A)
        limit_eV = exploration.settled_eV
        settled = error_eV is not None and limit_eV is not None and error_eV < limit_eV and known
        points = surface.evaluate_many([item.frame for item in labelled]) if labelled else ()
        standings.append(Standing(key, offset_eV(points, labelled), error_eV, settled))
        _say(standings[-1], number, known)
    write_json(files.round(number).standings, standings)
    return tuple(standings)


def _say(standing: Standing, number: int, known: bool) -> None:
    error = "not known" if standing.error_eV is None else f"{standing.error_eV:.3f} eV"
    logger.info(
        "%s, round %d: error at the lowest minima before their labels %s; the lowest minimum is %s: %s",
        standing.key,
        number,
        error,
        "labelled" if known else "new",
        "settled" if standing.settled else "not settled",
    )
