"""What the charge states of a group hand to each other before a round, from the files of the study."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from defectscape.domain.family import found_family
from defectscape.domain.frame import Floats, Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Minimum
from defectscape.sampling.lengths import too_close
from defectscape.search.merging import lowest_including_doubtful
from defectscape.selection.descriptors import frame_descriptors
from defectscape.selection.recharging import Handed, at_most, handed_to
from defectscape.selection.selection import without_copies
from defectscape.settings.groups import Group
from defectscape.study.context import StudyContext
from defectscape.study.minima import read_verified


@dataclass(frozen=True)
class Found:
    """What was found of one charge state before a round.

    Attributes:
        ends: of low-fidelity relaxations.
        minima: of the search, the lowest first.
    """

    ends: Sequence[Frame]
    minima: Sequence[Minimum]


@dataclass(frozen=True)
class Exchange:
    """What one charge state labels since others have it, too.

    Attributes:
        given: its own structures that others label, in its own charge.
        taken: structures of others, in its charge.
    """

    given: Sequence[Handed] = ()
    taken: Sequence[Handed] = ()


def exchanges(
    context: StudyContext,
    group: Group,
    found: Mapping[DefectKey, Found],
    takers: Collection[DefectKey],
    labelled: Sequence[Frame],
    centre: Floats,
) -> dict[DefectKey, Exchange]:
    """What each charge state of a group hands on and is handed in a round.

    Args:
        found: of the group's charge states.
        takers: those of them that are handed something; one that is settled hands on alone.
        labelled: frames that have a label or are to have one; what is no news beside them is left out.
        centre: the defect's fractional coordinates, (3,).
    """
    count = context.study.selection.recharged_per_charge_per_round
    if not count:
        return {key: Exchange() for key in found}
    handed: dict[DefectKey, list[Handed]] = {}
    for source in group.learns_from:
        for key in context.group(source)[0].keys:
            handed[key] = _verified(context, source, key, count)
    for key, own in found.items():
        handed[key] = _of_round(context, own, count)
    taken: dict[DefectKey, list[Handed]] = {key: [] for key in found}
    for key in takers:
        offered = handed_to(key, handed, group.stated.get(key))
        taken[key] = at_most(_news(context, offered, labelled, centre), count)
    wanted = {item.source for items in taken.values() for item in items}
    return {key: Exchange([item for item in handed[key] if item.source in wanted], taken[key]) for key in found}


def _of_round(context: StudyContext, found: Found, count: int) -> list[Handed]:
    """The ends of low-fidelity relaxations, the lowest by that engine first; without any the lowest minima."""

    def energy_eV(end: Frame) -> float:
        record = context.record(end, "low")
        return float("inf") if record is None or record.label is None else record.label.energy_eV

    ends = sorted(found.ends, key=energy_eV)[:count]
    if ends:
        return [Handed(frame, frame.frame_id, place == 0) for place, frame in enumerate(ends)]
    lowest = {minimum.rank for minimum in lowest_including_doubtful(found.minima, 1)}
    return [
        _handed(minimum.frame, minimum.rank in lowest, minimum.doubtful)
        for minimum in lowest_including_doubtful(found.minima, count)
    ]


def _verified(context: StudyContext, group: str, key: DefectKey, count: int) -> list[Handed]:
    """The lowest verified minima of a charge state that is learned from."""
    labelled = [item for item in read_verified(context, group, key) if item.final_label is not None]
    lowest = sorted(labelled, key=lambda item: (item.final_energy_eV, item.minimum.rank))[:count]
    return [_handed(item.frame, place == 0) for place, item in enumerate(lowest)]


def _handed(frame: Frame, lowest: bool, doubtful: bool = False) -> Handed:
    return Handed(replace(frame, family=found_family(frame.key.defect)), frame.frame_id, lowest, doubtful)


def _news(context: StudyContext, items: Sequence[Handed], labelled: Sequence[Frame], centre: Floats) -> list[Handed]:
    """Those without close contacts that no label of the same charge is at, or nearly at."""
    limit_A, known = context.study.sampling.shortest_distance_A, {frame.frame_id for frame in labelled}
    new = [
        item
        for item in items
        if item.frame.frame_id not in known
        and not too_close(item.frame.numbers, item.frame.positions_A, item.frame.cell_A, limit_A)
    ]
    if not new:
        return []
    mine = [frame for frame in labelled if frame.key == new[0].frame.key]
    features = frame_descriptors([*(item.frame for item in new), *mine], centre)
    return [new[index] for index in without_copies(features[: len(new)], features[len(new) :])]
