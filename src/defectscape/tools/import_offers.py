"""What the files of one import offer, what is taken of it, and the records that this makes.

Files are read first and labels are taken last: whether two files disagree on the energy of one geometry is
known only when all have been read.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from defectscape.domain.frame import GEOMETRY_DECIMALS, Frame
from defectscape.domain.label import Label
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.engines.base import Engine
from defectscape.store.labels import LabelStore, label_key
from defectscape.store.record import LabelRecord, timestamp_now
from defectscape.study.context import StudyContext


def imported_record(engine: Engine, frame: Frame, label: Label, version: str, info: Mapping[str, Any]) -> LabelRecord:
    """A record as if it had been computed here; its time is what the data say, or none."""
    settings = engine.settings_of(frame.numbers)
    key = label_key(frame, engine.name, settings)
    return LabelRecord(
        key,
        frame,
        engine.name,
        settings,
        version,
        label,
        None,
        (),
        int(info.get("rung", 0)),
        float(info.get("wall_s", 0.0)),
        float(info.get("core_s", 0.0)),
        "imported",
        str(info.get("computed", timestamp_now())),
    )


SAME_ENERGY_EV = 1e-3
"""Two energies of one geometry at one level of theory that differ by less are noise of convergence, eV."""
SAME_GEOMETRY = 2 * 10.0**-GEOMETRY_DECIMALS
"""Two geometries are one where no coordinate differs by more, A (about: fractional coordinates are compared)."""


@dataclass(frozen=True, eq=False)
class ImportTarget:
    """What all files of one import are held against."""

    context: StudyContext
    fidelity: str
    engine: Engine
    host: HostCrystal
    sites: tuple[DefectSite, ...]
    defect: str | None


@dataclass(frozen=True)
class LeftOut:
    """A label that is not taken.

    Attributes:
        place: its place in the file, from 1.
        reason: why, the same words for all labels that are left out for the same.
        off_A: how far a length is off, A; 0 where that is not the reason.
    """

    place: int
    reason: str
    off_A: float = 0.0


@dataclass(frozen=True, eq=False)
class Offer:
    """One file.

    Attributes:
        path: the file.
        key: defect and charge that it holds, or what could be found out.
        found: place in the file and record of each label that may be taken.
        left_out: the others.
        refusal: why the whole file is refused, or nothing.
        remarks: what was unusual.
        noun: what stands at a place of the file: ``ionic step`` or ``frame``.
    """

    path: Path
    key: str
    found: tuple[tuple[int, LabelRecord], ...]
    left_out: tuple[LeftOut, ...]
    refusal: str = ""
    remarks: tuple[str, ...] = ()
    noun: str = "frame"


@dataclass(frozen=True, eq=False)
class ImportRow:
    """What became of one file.

    Attributes:
        path: the file.
        key: defect and charge that it holds, or what could be found out.
        taken: labels that are in the store now.
        refused: labels that were not taken; with ``taken`` all that the file holds.
        reason: why not, or what was unusual.
        frames: the frames of the labels that were taken.
    """

    path: Path
    key: str
    taken: int
    refused: int
    reason: str
    frames: tuple[Frame, ...]


def refused(path: Path, key: str, count: int, reason: str) -> Offer:
    """A file none of whose ``count`` labels is taken."""
    return Offer(path, key, (), tuple(LeftOut(place, "") for place in range(1, count + 1)), reason)


def take(store: LabelStore, offers: Sequence[Offer]) -> tuple[ImportRow, ...]:
    """Put what the files agree on into the store; one row for each file.

    Of a geometry with two energies no label is taken, and both energies are reported. What the store has
    already stays as it is.
    """
    disputes = _disputes(store, offers)
    rows = []
    for index, offer in enumerate(offers):
        taken, left_out, remarks = [], list(offer.left_out), list(offer.remarks)
        for place, record in offer.found:
            dispute = disputes.get((index, place))
            if dispute is None:
                store.put(record)
                taken.append(record.frame)
            else:
                left_out.append(LeftOut(place, dispute))
        parts = [offer.refusal] if offer.refusal else _told(left_out, offer.noun)
        rows.append(
            ImportRow(offer.path, offer.key, len(taken), len(left_out), "; ".join([*parts, *remarks]), tuple(taken))
        )
    return tuple(rows)


def _disputes(store: LabelStore, offers: Sequence[Offer]) -> dict[tuple[int, int], str]:
    """Labels (offer, place) whose geometry has another energy elsewhere, and the words for it."""
    entries = [
        (index, place, record, _where(offer, place))
        for index, offer in enumerate(offers)
        for place, record in offer.found
    ]
    found: dict[tuple[int, int], str] = {}
    for group in _same_geometries([record for _, _, record, _ in entries]):
        told = [(_energy_eV(entries[k][2]), entries[k][3]) for k in group]
        for key in dict.fromkeys(entries[k][2].key for k in group):
            known = store.get(key)
            if known is not None and known.label is not None:
                told.append((known.label.energy_eV, "the label store"))
        energies = [energy for energy, _ in told]
        if max(energies) - min(energies) > SAME_ENERGY_EV:
            low, high = min(told), max(told)
            text = (
                f"one geometry with two energies, {low[0]:.6f} eV in {low[1]} and {high[0]:.6f} eV in {high[1]}: two "
                "electronic states or settings; import the run that is right alone"
            )
            found |= {(entries[k][0], entries[k][1]): text for k in group}
    return found


def _same_geometries(records: Sequence[LabelRecord]) -> list[list[int]]:
    """Indices of records of one geometry, also where its coordinates round to different hashes."""
    classes = defaultdict(list)
    for index, record in enumerate(records):
        frame = record.frame
        classes[frame.numbers.tobytes(), frame.charge, frame.multiplicity, frame.cell_A.round(3).tobytes()].append(
            index
        )
    groups = []
    for members in classes.values():
        cell_A = records[members[0]].frame.cell_A
        fractions = np.array([(records[k].frame.positions_A @ np.linalg.inv(cell_A)).ravel() for k in members]) % 1.0
        # A rounded -0.0 wraps to 1.0, which is outside of the periodic box.
        tree = cKDTree(np.where(fractions >= 1.0, 0.0, fractions), boxsize=1.0)
        reach = SAME_GEOMETRY / float(np.linalg.norm(cell_A, axis=1).max())
        parent = list(range(len(members)))
        for one, two in sorted(tree.query_pairs(reach, p=np.inf)):
            parent[two] = min(parent[two], parent[one])
        joined = defaultdict(list)
        for place, first in enumerate(parent):
            joined[parent[first]].append(members[place])
        groups += list(joined.values())
    return groups


def _energy_eV(record: LabelRecord) -> float:
    if record.label is None:
        raise ValueError("a failure is offered as a label")
    return record.label.energy_eV


def _where(offer: Offer, place: int) -> str:
    return f"{short_path(offer.path)} ({offer.noun} {place})"


def short_path(path: Path) -> str:
    """The last folders of a path: where a label came from, without the user's home."""
    return "/".join(path.parts[-3:])


def _told(left_out: Iterable[LeftOut], noun: str) -> list[str]:
    """Labels that are left out in words, those of one reason together."""
    by_reason: dict[str, list[LeftOut]] = defaultdict(list)
    for item in left_out:
        by_reason[item.reason].append(item)
    told = []
    for reason, items in by_reason.items():
        places = ", ".join(str(item.place) for item in items[:8]) + (", ..." if len(items) > 8 else "")
        off_A = max(item.off_A for item in items)
        by = f" (by up to {off_A:.4f} A)" if off_A else ""
        told.append(f"{len(items)} left out ({noun}{'s' if len(items) > 1 else ''} {places}): {reason}{by}")
    return told
