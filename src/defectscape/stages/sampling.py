"""Sampling stages: starts with the initial pool and splits, and the initial selection."""

import numpy as np

from defectscape.domain.family import Split, found_family
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.sampling.pool import make_pool
from defectscape.sampling.sites import defect_frame
from defectscape.sampling.splits import assign_splits
from defectscape.sampling.starts import make_starts
from defectscape.selection.descriptors import frame_descriptors
from defectscape.selection.selection import select_initial
from defectscape.settings.groups import initial_per_charge
from defectscape.study.context import StudyContext
from defectscape.study.frames import imported_frames, pool_frames, write_pool, write_selected, write_starts
from defectscape.study.host import read_host, site_of
from defectscape.study.host_stability import read_host_stability
from defectscape.study.imported import check_frames
from defectscape.study.labels import round_outcomes
from defectscape.study.references import read_host_labels
from defectscape.study.splits import read_splits, write_splits


def make_group_starts(context: StudyContext, name: str) -> None:
    """Starts of every charge of the group, its initial pool, and its splits."""
    group, _ = context.group(name)
    study = context.study
    # What comes from a start is labelled: not before the host is.
    read_host_labels(context)
    host, site = read_host(context), site_of(context, group.defect)
    # A host that was relaxed since they were imported may have another cell.
    check_frames(study.imported, host, [site], group.stated)
    starts: list[Frame] = []
    pool: list[Frame] = []
    for charge in group.charges:
        spin = group.stated.get(DefectKey(group.defect, charge))
        mine = make_starts(host, site, charge, study.sampling, study.seed, spin)
        starts += mine
        pool += make_pool(mine, defect_frame(host, site, charge, spin), study.sampling, host, study.seed)
    splits: dict[str, Split] = {}
    families = {frame.family for frame in (*pool, *imported_frames(context, name))}
    # What relaxations find is no descendant of a held-out start: minima always train. They are left
    # out of the draw, so that imported ones do not deal the other families anew.
    families.discard(found_family(group.defect))
    for source in group.learns_from:
        splits |= read_splits(context, source)
    new = families - set(splits)
    if new:
        # A group keeps the splits of those it learns from: a family that trains there must not test here.
        assigned = assign_splits(sorted(families), study.sampling, study.seed)
        splits |= {family: assigned[family] for family in new}
    splits[found_family(group.defect)] = Split.TRAIN
    write_splits(context, name, splits)
    write_starts(context, name, starts)
    write_pool(context, name, pool)


def select_group_initial(context: StudyContext, name: str) -> None:
    """The first high-fidelity budget of a group: spread in descriptor space, charge by charge.

    A frame whose cheap label failed, or has a force above the limit, is no candidate: the expensive
    engine's time is not spent on structures that nothing can be learned from.
    """
    # A host that is not stable has stopped the study: no defect has a high-fidelity label before that is known.
    read_host_stability(context)
    group, _ = context.group(name)
    site = site_of(context, group.defect)
    splits = read_splits(context, name)
    outcomes = round_outcomes(context, name, 0, "low")
    sane = {outcome.frame_id for outcome in outcomes if outcome.trainable}
    pool = [frame for frame in pool_frames(context, name) if frame.frame_id in sane]
    first = initial_per_charge(context.study, group)
    budget = context.study.selection.model_copy(update={"initial_per_charge": first})
    chosen: list[Frame] = []
    for key in group.keys:
        frames = tuple(frame for frame in pool if frame.key == key)
        features = frame_descriptors(frames, np.array(site.frac_coords))
        indices = select_initial(frames, features, splits, budget, key)
        chosen += [frames[index] for index in indices]
    write_selected(context, name, "high", 0, chosen)
