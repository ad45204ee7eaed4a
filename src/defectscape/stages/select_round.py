"""Selection stage of a round: which frames of the search before it get a label."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from defectscape.domain.family import Split, found_family
from defectscape.domain.frame import Floats, Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Relaxation
from defectscape.sampling.lengths import too_close
from defectscape.search.merging import lowest_including_doubtful
from defectscape.selection.descriptors import frame_descriptors
from defectscape.selection.recharging import in_turn
from defectscape.selection.selection import select_round
from defectscape.settings.groups import label_rounds
from defectscape.study.committees import CommitteeSurface, load_committee
from defectscape.study.context import StudyContext
from defectscape.study.frames import frames_to_label, pool_frames, read_relaxed_ends, relaxed_minima, write_selected
from defectscape.study.host import site_of
from defectscape.study.labels import imported_labels
from defectscape.study.minima import merged, read_relaxations
from defectscape.study.recharging import Exchange, Found, exchanges
from defectscape.study.settling import JUDGED_MINIMA, settled_before
from defectscape.study.splits import read_splits

logger = logging.getLogger(__name__)


def choose_round(context: StudyContext, name: str, number: int) -> None:
    """Choose the frames of round ``number`` from the search of the round before.

    What low-fidelity relaxations of the lowest minima led to and these minima always come, in turn with what is lowest
    in other charge states, where the study asks for that; committee disagreement and spread in descriptor space choose
    the rest, from the paths of families that train. For a charge state that is settled nothing is chosen.
    """
    settled = settled_before(context, name, number)
    open_keys = [key for key in context.group(name)[0].keys if key not in settled]
    selected: dict[str, list[Frame]] = {"low": [], "high": []}
    if open_keys:
        selected = _selected(context, name, number, open_keys)
    for fidelity, frames in selected.items():
        write_selected(context, name, fidelity, number, frames)


def _selected(context: StudyContext, name: str, number: int, keys: Sequence[DefectKey]) -> dict[str, list[Frame]]:
    """The frames of some charge states of a group, by fidelity."""
    group, files = context.group(name)
    site = site_of(context, group.defect)
    committee = load_committee(context, files.round(number - 1), context.study.exploration.training)
    sources = _Sources(
        context,
        read_relaxations(context, name, number - 1),
        read_splits(context, name),
        {fidelity: taken_frames(context, name, number, fidelity) for fidelity in ("low", "high")},
        # The members disagree by what they learned: the prior is the same for all.
        CommitteeSurface(committee.alone(), context.fidelity_names[1]),
        np.array(site.frac_coords),
    )
    found = {key: _found(context, name, number, key, sources.relaxations) for key in group.keys}
    labelled = [frame for frames in sources.taken.values() for frame in frames]
    exchange = exchanges(context, group, found, keys, labelled, sources.centre)
    selected: dict[str, list[Frame]] = {"low": [], "high": []}
    for key in keys:
        for fidelity, frames in _frames_of_key(sources, key, found[key], exchange[key]).items():
            selected[fidelity] += frames
    return selected


@dataclass(frozen=True, eq=False)
class _Sources:
    """What the frames of a round are chosen from, and by."""

    context: StudyContext
    relaxations: Sequence[Relaxation]
    splits: dict[str, Split]
    taken: dict[str, list[Frame]]
    surface: CommitteeSurface
    centre: Floats


def _found(context: StudyContext, name: str, number: int, key: DefectKey, relaxations: Sequence[Relaxation]) -> Found:
    """What relaxations with the low-fidelity engine and the search before found of one key."""
    defect, settings = context.group(name)[0].defect, context.study.exploration.minima
    lowest = merged(context, defect, relaxations, key, settings)
    relaxes = context.study.selection.low_relaxed_minima
    return Found(read_relaxed_ends(context, name, number, key) if relaxes else (), lowest)


def _frames_of_key(sources: _Sources, key: DefectKey, found: Found, exchange: Exchange) -> dict[str, list[Frame]]:
    """The frames of one key to label at each fidelity."""
    budgets = sources.context.study.selection
    lowest = lowest_including_doubtful(found.minima, JUDGED_MINIMA)
    minima = [*found.ends, *(replace(minimum.frame, family=found_family(key.defect)) for minimum in lowest)]
    # A geometry that is handed on has a label in its own charge, too.
    own = _once([*(item.frame for item in exchange.given if item.lowest), *minima])
    first: Sequence[Frame] = in_turn(own, [item.frame for item in exchange.taken if item.lowest])
    selected: dict[str, list[Frame]] = {"low": [], "high": []}
    for fidelity, budget in (("high", budgets.per_charge_per_round), ("low", budgets.low_per_charge_per_round)):
        if not budget:
            continue
        candidates = _candidates(sources, key, [*first, *minima], fidelity)
        if not candidates:
            logger.warning("%s: the search left no new frame to label at %s", key, fidelity)
            continue
        # What gets the expensive label gets the cheap one, too.
        first = _choose(sources, candidates, first, fidelity, budget)
        selected[fidelity] += first
    known = {frame.frame_id for frame in (*sources.taken["low"], *selected["low"])}
    exchanged = [item.frame for item in (*exchange.given, *exchange.taken)]
    selected["low"] += [frame for frame in exchanged if frame.frame_id not in known]
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
    return _once(found)


def _once(frames: Sequence[Frame]) -> list[Frame]:
    return list({frame.frame_id: frame for frame in frames}.values())


def _candidates(sources: _Sources, key: DefectKey, minima: Sequence[Frame], fidelity: str) -> list[Frame]:
    """Minima and path frames without close contacts, each geometry once, none labelled before at the fidelity."""
    limit_A = sources.context.study.sampling.shortest_distance_A
    paths = [
        frame
        for relaxation in sources.relaxations
        if relaxation.start.key == key
        for frame in (*relaxation.path, relaxation.final)
        if sources.splits[frame.family] == Split.TRAIN
    ]
    known = {frame.frame_id for frame in sources.taken[fidelity]}
    found: dict[str, Frame] = {}
    for frame in (*minima, *paths):
        close = too_close(frame.numbers, frame.positions_A, frame.cell_A, limit_A)
        if not close and frame.frame_id not in known:
            found.setdefault(frame.frame_id, frame)
    return list(found.values())


def _choose(
    sources: _Sources, candidates: Sequence[Frame], first: Sequence[Frame], fidelity: str, budget: int
) -> list[Frame]:
    """The candidates of one key to label: ``first`` in any case, then up to the budget."""
    points = sources.surface.evaluate_many(candidates)
    disagreement = np.array([float(np.max(point.force_std_eV_A)) for point in points])
    ids = {frame.frame_id for frame in first}
    must = [index for index, frame in enumerate(candidates) if frame.frame_id in ids]
    mine = [frame for frame in sources.taken[fidelity] if frame.key == candidates[0].key]
    chosen = select_round(
        candidates,
        frame_descriptors(candidates, sources.centre),
        disagreement,
        frame_descriptors(mine, sources.centre),
        must,
        sources.splits,
        sources.context.study.selection.model_copy(update={"per_charge_per_round": budget}),
    )
    return [candidates[index] for index in chosen]
