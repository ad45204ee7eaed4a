"""Selection stage of a round: which frames of the search before it get a label."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from defectscape.domain.family import Split, found_family
from defectscape.domain.frame import Floats, Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Relaxation
from defectscape.sampling.lengths import too_close
from defectscape.search.merging import lowest_including_doubtful
from defectscape.selection.descriptors import frame_descriptors
from defectscape.selection.selection import select_round
from defectscape.settings.groups import label_rounds
from defectscape.settings.sampling import SelectionSettings
from defectscape.study.committees import CommitteeSurface, load_committee
from defectscape.study.context import StudyContext
from defectscape.study.frames import frames_to_label, pool_frames, read_relaxed_ends, relaxed_minima, write_selected
from defectscape.study.host import site_of
from defectscape.study.labels import imported_labels
from defectscape.study.minima import merged, read_relaxations
from defectscape.study.settling import JUDGED_MINIMA, settled_before
from defectscape.study.splits import read_splits

logger = logging.getLogger(__name__)


def choose_round(context: StudyContext, name: str, number: int) -> None:
    """Choose the frames of round ``number`` from the search of the round before.

    What low-fidelity relaxations of the lowest minima led to and these minima always come; committee
    disagreement and spread in descriptor space choose the rest, from the paths of families that train. For a charge
    state that is settled nothing is chosen.
    """
    settled = settled_before(context, name, number)
    open_keys = [key for key in context.group(name)[0].keys if key not in settled]
    selected: dict[str, list[Frame]] = {"low": [], "high": []}
    if open_keys:
        selected = _selected(context, name, number, open_keys)
    for fidelity, frames in selected.items():
        write_selected(context, name, fidelity, number, frames)


def _selected(context: StudyContext, name: str, number: int, keys: Sequence[DefectKey]) -> dict[str, list[Frame]]:
    """The frames of some charge states, by fidelity."""
    group, files = context.group(name)
    site = site_of(context, group.defect)
    splits = read_splits(context, name)
    relaxations = read_relaxations(context, name, number - 1)
    committee = load_committee(context, files.round(number - 1), context.study.exploration.training)
    # The members disagree by what they learned: the prior is the same for all.
    surface = CommitteeSurface(committee.alone(), context.fidelity_names[1])
    taken = {fidelity: taken_frames(context, name, number, fidelity) for fidelity in ("low", "high")}
    centre = np.array(site.frac_coords)
    budgets = context.study.selection
    selected: dict[str, list[Frame]] = {"low": [], "high": []}
    for key in keys:
        lowest = merged(context, group.defect, relaxations, key, context.study.exploration.minima)
        minima = [
            replace(minimum.frame, family=found_family(key.defect))
            for minimum in lowest_including_doubtful(lowest, JUDGED_MINIMA)
        ]
        if budgets.low_relaxed_minima:
            minima = [*read_relaxed_ends(context, name, number, key), *minima]
        first: Sequence[Frame] = minima
        for fidelity, budget in (("high", budgets.per_charge_per_round), ("low", budgets.low_per_charge_per_round)):
            if not budget:
                continue
            candidates = _candidates(context, key, [*first, *minima], relaxations, splits, taken[fidelity])
            if not candidates:
                logger.warning("%s: the search left no new frame to label at %s", key, fidelity)
                continue
            mine = [frame for frame in taken[fidelity] if frame.key == key]
            chosen = _choose(candidates, first, mine, splits, surface, centre, budgets, budget)
            # What gets the expensive label gets the cheap one, too.
            first = [candidates[index] for index in chosen]
            selected[fidelity] += first
    return selected


def taken_frames(context: StudyContext, name: str, number: int, fidelity: str) -> list[Frame]:
    """Frames that have a label of a level, or are to have one, once each: imported, of the rounds before, and of
    relaxations before this one."""
    found: list[Frame] = []
    if fidelity == "low":
        found += pool_frames(context, name)
        for earlier in range(1, number + 1):
            found += relaxed_minima(context, name, earlier)
    found += [item.frame for item in imported_labels(context, name, fidelity)]
    found += [
        frame
        for earlier in label_rounds(context.study, fidelity, number - 1)
        if (fidelity, earlier) != ("low", 0)
        for frame in frames_to_label(context, name, fidelity, earlier)
    ]
    return list({frame.frame_id: frame for frame in found}.values())


def _candidates(
    context: StudyContext,
    key: DefectKey,
    minima: Sequence[Frame],
    relaxations: Sequence[Relaxation],
    splits: dict[str, Split],
    taken: Sequence[Frame],
) -> list[Frame]:
    """Minima and path frames without close contacts, each geometry once, none labelled before."""
    limit_A = context.study.sampling.shortest_distance_A
    paths = [
        frame
        for relaxation in relaxations
        if relaxation.start.key == key
        for frame in (*relaxation.path, relaxation.final)
        if splits[frame.family] == Split.TRAIN
    ]
    known = {frame.frame_id for frame in taken}
    found: dict[str, Frame] = {}
    for frame in (*minima, *paths):
        close = too_close(frame.numbers, frame.positions_A, frame.cell_A, limit_A)
        if not close and frame.frame_id not in known:
            found.setdefault(frame.frame_id, frame)
    return list(found.values())


def _choose(
    candidates: Sequence[Frame],
    first: Sequence[Frame],
    taken: Sequence[Frame],
    splits: dict[str, Split],
    surface: CommitteeSurface,
    centre: Floats,
    settings: SelectionSettings,
    budget: int,
) -> list[int]:
    """Indices of the candidates to label: ``first`` in any case, then up to the budget."""
    points = surface.evaluate_many(candidates)
    disagreement = np.array([float(np.max(point.force_std_eV_A)) for point in points])
    ids = {frame.frame_id for frame in first}
    must = [index for index, frame in enumerate(candidates) if frame.frame_id in ids]
    return select_round(
        candidates,
        frame_descriptors(candidates, centre),
        disagreement,
        frame_descriptors(taken, centre),
        must,
        splits,
        settings.model_copy(update={"per_charge_per_round": budget}),
    )
