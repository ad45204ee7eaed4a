"""What the searches of a study found, and what the engine says of it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from defectscape.domain.errors import StoreError
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import LabelledFrame
from defectscape.domain.minimum import PLAIN, Minimum, Relaxation, StartsTried, VerifiedMinimum
from defectscape.files.codec import decode
from defectscape.files.extxyz import read_labelled, write_labelled
from defectscape.files.tables import (
    load_minima,
    load_relaxations,
    load_verified,
    read_json,
    save_minima,
    save_relaxations,
    save_verified,
    write_json,
)
from defectscape.search.merging import merge
from defectscape.search.verification_criterion import Assessment
from defectscape.settings.groups import Group
from defectscape.settings.search import MinimaSettings
from defectscape.study.context import StudyContext
from defectscape.study.host import site_operations


def read_relaxations(context: StudyContext, group: str, number: int | None = None) -> tuple[Relaxation, ...]:
    """Every relaxation of the search of a round, or of the final search (None)."""
    return load_relaxations(_relaxations(context, group, number))


def write_relaxations(context: StudyContext, group: str, number: int | None, relaxations: Sequence[Relaxation]) -> None:
    """Write them."""
    save_relaxations(_relaxations(context, group, number), relaxations)


def _relaxations(context: StudyContext, group: str, number: int | None) -> Path:
    files = context.layout.group(group)
    return files.relaxations if number is None else files.round(number).relaxations


def merged(
    context: StudyContext, defect: str, relaxations: Sequence[Relaxation], key: DefectKey, settings: MinimaSettings
) -> tuple[Minimum, ...]:
    """Distinct minima of one charge state of a defect among some relaxations."""
    mine = tuple(r for r in relaxations if r.start.key == key)
    return merge(mine, site_operations(context, defect), settings)


def read_starts_tried(context: StudyContext, group: str) -> dict[DefectKey, StartsTried]:
    """How many starts the final search of a group tried, by charge state; of no one where the number was fixed."""
    if context.study.search.until_nothing_new is None:
        return {}
    rows = read_json(context.layout.group(group).starts_tried)
    return {row.key: row for row in (decode(StartsTried, item) for item in rows)}


def write_starts_tried(context: StudyContext, group: str, tried: Sequence[StartsTried]) -> None:
    """Write them."""
    write_json(context.layout.group(group).starts_tried, tried)


def read_minima(context: StudyContext, group: str) -> tuple[Minimum, ...]:
    """Merged, ranked minima of a group's final search."""
    return load_minima(context.layout.group(group).minima)


def write_minima(context: StudyContext, group: str, minima: Sequence[Minimum]) -> None:
    """Write them."""
    save_minima(context.layout.group(group).minima, minima)


def read_verified(context: StudyContext, group: str, key: DefectKey) -> tuple[VerifiedMinimum, ...]:
    """The minima of one charge state that the high-fidelity engine was given."""
    return load_verified(context.layout.group(group).verified(key))


def read_assessment(context: StudyContext, group: str, key: DefectKey) -> Assessment:
    """How far the ground state of one charge state can be trusted."""
    found: Assessment = decode(Assessment, read_json(context.layout.group(group).assessment(key)))
    return found


def write_verified(
    context: StudyContext,
    group: str,
    key: DefectKey,
    verified: Sequence[VerifiedMinimum],
    labels: Sequence[LabelledFrame],
    assessment: Assessment,
) -> None:
    """Write them, every label that verification took, and how far the lowest can be trusted."""
    files = context.layout.group(group)
    save_verified(files.verified(key), verified)
    write_labelled(files.verified_labels(key), labels)
    write_json(files.assessment(key), assessment)


def with_engine_s_own(minima: Sequence[Minimum], verified: Sequence[VerifiedMinimum]) -> tuple[Minimum, ...]:
    """The minima of one charge state, those included that the engine found by relaxations of its own.

    Where the engine relaxed the unperturbed start, it is the engine that says which minimum that start leads to.

    Args:
        minima: of the search.
        verified: what became of them, and what the engine found besides.

    Raises:
        StoreError: if another search's minima were verified; a study that runs again has such files for a while.
    """
    known = {item.minimum.rank: item.minimum for item in verified}
    for minimum in minima:
        if minimum.rank in known and known[minimum.rank].frame.frame_id != minimum.frame.frame_id:
            raise StoreError(
                f"verified minima of {minimum.frame.key}",
                f"minimum {minimum.rank} is not the one that the search has found since",
                "Run the study: it verifies them anew",
            )
    every = {minimum.rank: minimum for minimum in minima} | known
    plain = {rank for rank, minimum in known.items() if PLAIN in minimum.found_from}
    return tuple(
        replace(minimum, from_unperturbed=rank in plain) if plain else minimum
        for rank, minimum in sorted(every.items())
    )


def verification_labels(context: StudyContext, groups: Iterable[Group] | None = None) -> list[LabelledFrame]:
    """Every high-fidelity label that verification made, of some groups or of all."""
    name = context.fidelity_settings("high").name
    return [
        item
        for group in (context.groups if groups is None else groups)
        for key in group.keys
        for item in read_labelled(context.layout.group(group.name).verified_labels(key), name)
    ]


def ground_state(items: Sequence[VerifiedMinimum]) -> VerifiedMinimum:
    """The lowest by the engine, or by the model where the engine has none."""
    return min(items, key=lambda item: (item.final_energy_eV, item.minimum.rank))


def ground_frame(item: VerifiedMinimum) -> Frame:
    """Its structure: the engine's where there is one."""
    return item.frame if item.final_label is not None else item.minimum.frame
