"""Search stages: relax every start on the high-fidelity surface, seed charges with each other's
minima, and merge what was found."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from defectscape.domain.family import UNPERTURBED
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.minimum import Minimum, Relaxation, StartsTried
from defectscape.domain.seeds import derive_rng, derive_seed
from defectscape.sampling.further_starts import FurtherSampling
from defectscape.search.global_search import hop, snapshots
from defectscape.search.merging import lowest_including_doubtful
from defectscape.search.relaxation import nudged, relax_all
from defectscape.search.until_nothing_new import FurtherStarts, search_on
from defectscape.settings.groups import Group
from defectscape.settings.search import MinimaSettings, SearchSettings, UntilNothingNewSettings
from defectscape.study.committees import CommitteeSurface, check_committee, load_committee
from defectscape.study.context import StudyContext
from defectscape.study.frames import read_starts, relaxed_minima_ends
from defectscape.study.host import read_host, site_of, site_operations
from defectscape.study.labels import lowest_known
from defectscape.study.minima import (
    merged,
    read_minima,
    read_relaxations,
    write_minima,
    write_relaxations,
    write_starts_tried,
)
from defectscape.study.settling import all_settled_before, judge, take_over
from defectscape.study.splits import read_splits

logger = logging.getLogger(__name__)

LOWEST_LABEL = "lowest label"


def _cross_seeds(
    context: StudyContext, group: Group, found: tuple[Relaxation, ...], settings: SearchSettings, minima: MinimaSettings
) -> list[Frame]:
    """The lowest minima of every other charge state, recharged."""
    sources: list[Minimum] = []
    for earlier in group.learns_from:
        known = read_minima(context, earlier)
        for key in dict.fromkeys(minimum.frame.key for minimum in known):
            mine = [minimum for minimum in known if minimum.frame.key == key]
            sources += lowest_including_doubtful(mine, settings.cross_seeds_per_charge)
    for key in group.keys:
        lowest = merged(context, group.defect, found, key, minima)
        sources += lowest_including_doubtful(lowest, settings.cross_seeds_per_charge)
    seeds = []
    for key in group.keys:
        for minimum in sources:
            if minimum.frame.charge != key.charge:
                note = f"minimum {minimum.rank} of {minimum.frame.key}"
                spin = group.stated.get(key)
                seeds.append(minimum.frame.recharged(key.charge, origin=Origin.START, note=note, multiplicity=spin))
    return seeds


def _with_nudged(context: StudyContext, starts: tuple[Frame, ...]) -> list[Frame]:
    """The starts, and beside each unperturbed one a copy that symmetry does not hold in place."""
    frames: list[Frame] = []
    for start in starts:
        frames.append(start)
        if start.note == UNPERTURBED:
            frames.append(nudged(start, derive_seed(context.study.seed, "nudge", start.key)))
    return frames


def _lowest_labels(context: StudyContext, group: Group, number: int, ends: Sequence[Frame]) -> list[Frame]:
    """Of every charge the structure that the high-fidelity engine has lowest, where no relaxation ended there."""
    at_ends = {frame.geometry_hash for frame in ends}
    known = lowest_known(context, group.name, number)
    return [
        replace(known[key].frame, origin=Origin.START, note=LOWEST_LABEL)
        for key in group.keys
        if key in known and known[key].frame.geometry_hash not in at_ends
    ]


def _surface(context: StudyContext, name: str, number: int, gates: Path) -> CommitteeSurface:
    """The high-fidelity surface of a round's committee, which was found to know charge and fidelity."""
    group, files = context.group(name)
    round_files = files.round(number)
    committee = load_committee(context, round_files, context.study.exploration.training)
    charges = sorted(
        {key.charge for source in group.learns_from for key in context.group(source)[0].keys} | set(group.charges)
    )
    check_committee(context, committee, round_files, read_starts(context, name)[-1], charges, gates)
    return CommitteeSurface(committee, context.fidelity_names[1])


def _search(
    context: StudyContext,
    name: str,
    number: int,
    surface: CommitteeSurface,
    settings: SearchSettings,
    minima: MinimaSettings,
) -> tuple[tuple[Relaxation, ...], tuple[StartsTried, ...]]:
    """Every relaxation, and how many starts were tried where their number follows from what is found."""
    group, _ = context.group(name)
    starts = _with_nudged(context, read_starts(context, name))
    ends = relaxed_minima_ends(context, name, number)
    known = _lowest_labels(context, group, number, ends)
    found = relax_all([*starts, *ends, *known], surface, settings)
    seeds: list[Frame] = []
    if settings.cross_seeds_per_charge > 0:
        seeds = _cross_seeds(context, group, found, settings, minima)
        found += relax_all(seeds, surface, settings)
    found += _global_search(context, group, found, surface, settings, minima, str(number))
    further = settings.until_nothing_new
    if further is None:
        return found, ()
    makers = _further_starts(context, group, surface, settings, further, minima, seeds, str(number))
    operations = site_operations(context, group.defect)
    more, tried = search_on(found, makers, surface, settings, further, minima, operations)
    return found + more, tried


def _further_starts(
    context: StudyContext,
    group: Group,
    surface: CommitteeSurface,
    search: SearchSettings,
    settings: UntilNothingNewSettings,
    minima: MinimaSettings,
    seeds: Sequence[Frame],
    stage: str,
) -> list[FurtherStarts]:
    """What makes the further starts of every charge; those that came from other charges were tried already."""
    host, site, study = read_host(context), site_of(context, group.defect), context.study
    splits, operations = read_splits(context, group.name), site_operations(context, group.defect)
    return [
        FurtherStarts(
            FurtherSampling(host, site, key.charge, study.sampling, study.seed, splits, group.stated.get(key)),
            surface,
            search,
            settings,
            np.array(site.frac_coords),
            operations,
            minima.merge_rmsd_A,
            stage,
            [seed for seed in seeds if seed.key == key],
        )
        for key in group.keys
    ]


def _lowest(
    context: StudyContext, group: Group, found: tuple[Relaxation, ...], minima: MinimaSettings, count: int
) -> list[Frame]:
    """The lowest ``count`` minima of every charge."""
    return [
        minimum.frame
        for key in group.keys
        for minimum in lowest_including_doubtful(merged(context, group.defect, found, key, minima), count)
    ]


def _global_search(
    context: StudyContext,
    group: Group,
    found: tuple[Relaxation, ...],
    surface: CommitteeSurface,
    settings: SearchSettings,
    minima: MinimaSettings,
    stage: str,
) -> tuple[Relaxation, ...]:
    """Dynamics with quenches, then basin hopping, from the lowest minima found so far."""
    more: tuple[Relaxation, ...] = ()
    seed = context.study.seed
    if settings.dynamics is not None:
        starts: list[Frame] = []
        begin = _lowest(context, group, found, minima, settings.dynamics.minima_per_charge)
        for number, frame in enumerate(begin):
            rng = derive_rng(seed, "dynamics", stage, frame.key, number)
            starts += snapshots(frame, surface, settings.dynamics, settings, rng)
        more += relax_all(starts, surface, settings)
    if settings.hopping is not None:
        site = site_of(context, group.defect)
        begin = _lowest(context, group, found + more, minima, settings.hopping.minima_per_charge)
        rngs = [derive_rng(seed, "hop", stage, f.key, n) for n, f in enumerate(begin)]
        centre = np.array(site.frac_coords)
        more += hop(begin, surface, settings.hopping, settings, centre, rngs)
    return more


def search_round(context: StudyContext, name: str, number: int) -> None:
    """The search of an exploration round; where all charge states are settled, what the round before found."""
    files = context.layout.group(name)
    here, exploration = files.round(number), context.study.exploration
    if all_settled_before(context, name, number):
        before = files.round(number - 1)
        take_over(
            [
                (before.relaxations, here.relaxations),
                (before.gates, here.gates),
                (before.standings, here.standings),
            ]
        )
        return
    surface = _surface(context, name, number, here.gates)
    found, _ = _search(context, name, number, surface, exploration.search, exploration.minima)
    write_relaxations(context, name, number, found)
    if exploration.settled_eV is not None:
        judge(context, name, number, surface, found)


def search_final(context: StudyContext, name: str) -> None:
    """The final search of a group, with the committee of its last round."""
    study = context.study
    number = study.exploration.rounds
    surface = _surface(context, name, number, context.layout.group(name).gates)
    found, tried = _search(context, name, number, surface, study.search, study.minima)
    write_relaxations(context, name, None, found)
    if study.search.until_nothing_new is not None:
        write_starts_tried(context, name, tried)


def merge_minima(context: StudyContext, name: str) -> None:
    """Merge and rank the minima of the final search, charge by charge."""
    group, _ = context.group(name)
    relaxations = read_relaxations(context, name)
    minima: list[Minimum] = []
    for key in group.keys:
        mine = merged(context, group.defect, relaxations, key, context.study.minima)
        if not mine:
            logger.warning("%s: no relaxation converged, so it has no minimum", key)
        minima += mine
    write_minima(context, name, minima)
