"""Search stages: relax every start on the high-fidelity surface, seed charges with each other's
minima, merge, and harvest new frames for the next round."""

import logging
from pathlib import Path

import numpy as np

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Minimum, Relaxation
from defectscape.files.extxyz import read_frames, write_frames
from defectscape.files.tables import (
    load_host_file,
    load_minima,
    load_relaxations,
    load_sites,
    save_minima,
    save_relaxations,
)
from defectscape.sampling.contacts import shortest_distance_A
from defectscape.sampling.sites import pick_site
from defectscape.sampling.splits import Split
from defectscape.search.matching import Operations, host_operations
from defectscape.search.merging import merge
from defectscape.search.relaxation import relax_all
from defectscape.selection.descriptors import frame_descriptors
from defectscape.selection.selection import select_round
from defectscape.selection.spread import farthest_points
from defectscape.settings.groups import Group
from defectscape.settings.search import Search
from defectscape.stages.context import StudyContext
from defectscape.stages.sampling import read_splits
from defectscape.stages.surface import CommitteeSurface, gate, load_committee

logger = logging.getLogger(__name__)

UNPERTURBED = "unperturbed"


def group_operations(context: StudyContext, group: Group) -> Operations:
    """Symmetry operations of the host that keep the group's defect site."""
    host = load_host_file(context.layout.host)
    site = pick_site(load_sites(context.layout.sites), group.defect)
    return host_operations(host, site.frac_coords)


def merged(
    context: StudyContext, group: Group, relaxations: tuple[Relaxation, ...], key: DefectKey
) -> tuple[Minimum, ...]:
    """Distinct minima of one key among some relaxations."""
    mine = tuple(r for r in relaxations if r.start.key == key)
    splits = read_splits(context, group.name)
    held_out = frozenset(f for f, split in splits.items() if split == Split.TEST)
    operations = group_operations(context, group)
    return merge(mine, operations, context.study.minima, UNPERTURBED, held_out)


def _cross_seeds(
    context: StudyContext, group: Group, found: tuple[Relaxation, ...], settings: Search
) -> list[Frame]:
    """The lowest minima of every other charge state, recharged."""
    sources: list[Minimum] = []
    for teacher in group.teachers:
        for minimum in load_minima(context.layout.group(teacher).minima):
            if minimum.rank < settings.cross_seeds_per_charge:
                sources.append(minimum)
    for key in group.keys:
        sources += merged(context, group, found, key)[: settings.cross_seeds_per_charge]
    seeds = []
    for key in group.keys:
        for minimum in sources:
            if minimum.frame.charge != key.charge:
                note = f"minimum {minimum.rank} of {minimum.frame.key}"
                seeds.append(minimum.frame.recharged(key.charge, origin=Origin.START, note=note))
    return seeds


def _search(
    context: StudyContext, name: str, number: int, settings: Search, gates: Path
) -> tuple[Relaxation, ...]:
    group, files = context.group(name)
    round_files = files.round(number)
    committee = load_committee(round_files, context.study.exploration.training)
    starts = read_frames(files.starts)
    charges = sorted({key.charge for teacher in group.teachers
                      for key in context.group(teacher)[0].keys} | set(group.charges))  # fmt: skip
    gate(context, committee, round_files, starts[-1], charges, gates)
    surface = CommitteeSurface(committee, context.fidelity_names[1])
    found = relax_all(starts, surface, settings)
    if settings.cross_seeds_per_charge > 0:
        seeds = _cross_seeds(context, group, found, settings)
        found += relax_all(seeds, surface, settings)
    return found


def search_round(context: StudyContext, name: str, number: int) -> None:
    """The search of an exploration round."""
    files = context.layout.group(name).round(number)
    settings = context.study.exploration.search
    save_relaxations(files.relaxations, _search(context, name, number, settings, files.gates))


def search_final(context: StudyContext, name: str) -> None:
    """The final search of a group, with the committee of its last round."""
    files = context.layout.group(name)
    number = context.study.exploration.rounds
    save_relaxations(
        files.relaxations, _search(context, name, number, context.study.search, files.gates)
    )


def merge_minima(context: StudyContext, name: str) -> None:
    """Merge and rank the minima of the final search, charge by charge."""
    group, files = context.group(name)
    relaxations = load_relaxations(files.relaxations)
    minima: list[Minimum] = []
    for key in group.keys:
        mine = merged(context, group, relaxations, key)
        if not mine:
            logger.warning("%s: no relaxation converged, so it has no minimum", key)
        minima += mine
    save_minima(files.minima, minima)


def harvest(context: StudyContext, name: str, number: int) -> None:
    """Choose the frames of round ``number`` from the search of the round before.

    The lowest minima always come; committee disagreement and spread in descriptor space choose the
    rest. Only families that train are asked: those held out, for testing or for early stopping, keep
    the frames they have, and frames with close contacts teach nothing.
    """
    group, files = context.group(name)
    site = pick_site(load_sites(context.layout.sites), group.defect)
    centre = np.array(site.frac_coords)
    splits = read_splits(context, name)
    relaxations = load_relaxations(files.round(number - 1).relaxations)
    committee = load_committee(files.round(number - 1), context.study.exploration.training)
    surface = CommitteeSurface(committee, context.fidelity_names[1])
    settings = context.study.selection
    taken = [f for n in range(number) for f in read_frames(files.round(n).selected)]
    limit_A = context.study.sampling.shortest_distance_A

    def sane(frame: Frame) -> bool:
        return shortest_distance_A(frame.positions_A, frame.cell_A) >= limit_A

    selected: list[Frame] = []
    pool: list[Frame] = []
    for key in group.keys:
        minima = [m.frame for m in merged(context, group, relaxations, key)[:2]]
        paths = [f for r in relaxations if r.start.key == key for f in (*r.path, r.final)]
        ids = {frame.frame_id for frame in taken}
        candidates = _distinct(
            [f for f in (*minima, *paths) if splits[f.family] == Split.TRAIN and sane(f)], ids
        )
        if not candidates:
            logger.warning("%s: the search left no new frame to label", key)
            continue
        points = surface.evaluate_many(candidates)
        disagreement = np.array([float(np.max(point.force_std_eV_A)) for point in points])
        features = frame_descriptors(candidates, centre)
        mine = tuple(f for f in taken if f.key == key)
        known = frame_descriptors(mine, centre)
        minimum_ids = {frame.frame_id for frame in minima}
        must = [i for i, f in enumerate(candidates) if f.frame_id in minimum_ids]
        chosen = select_round(candidates, features, disagreement, known, must, splits, settings)
        selected += [candidates[i] for i in chosen]
        spread = farthest_points(features, list(chosen), settings.low_per_charge_per_round)
        pool += [candidates[i] for i in (*chosen, *spread)]
    write_frames(files.round(number).selected, selected)
    write_frames(files.round(number).pool, pool)


def _distinct(frames: list[Frame], excluded: set[str]) -> tuple[Frame, ...]:
    distinct = {frame.frame_id: frame for frame in frames if frame.frame_id not in excluded}
    return tuple(distinct.values())
