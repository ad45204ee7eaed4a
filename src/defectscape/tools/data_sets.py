"""Data sets: labels of one fidelity as extended XYZ with a card beside it that says what they are.

The card, ``<name>.card.json`` beside ``<name>.extxyz[.xz]``, names the engine and the settings that
make the labels one level of theory; without it a number is an energy of unknown origin.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from defectscape.domain.errors import LabelError, StoreError
from defectscape.domain.label import LabelledFrame
from defectscape.engines.base import Engine
from defectscape.files.codec import decode, encode
from defectscape.files.extxyz import read_frames, read_info, read_labelled, write_labelled
from defectscape.files.tables import read_json, write_json
from defectscape.settings.engine import FidelitySettings
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext

CARD_FORMAT = 1
DATA_ENDINGS = (".extxyz", ".extxyz.xz", ".extxyz.gz")


@dataclass(frozen=True)
class Card:
    """What the labels of a file are.

    Attributes:
        format: version of this card.
        fidelity: its name in the study.
        method: the level of theory in the field's words.
        engine: the engine's name, part of every label's key.
        settings: the engine's settings as canonical JSON, files of the elements in the data alone.
        engine_versions: versions of the program that computed them.
        labels: how many, by defect key.
        core_s: processor time of all labels, core-seconds.
        first, last: when the first and the last were computed.
        notes: what else a user must know.
    """

    format: int
    fidelity: str
    method: str
    engine: str
    settings: str
    engine_versions: tuple[str, ...]
    labels: tuple[tuple[str, int], ...]
    core_s: float
    first: str
    last: str
    notes: tuple[str, ...]


def card_path(path: Path) -> Path:
    """The card beside a data file."""
    ending = next((ending for ending in DATA_ENDINGS if path.name.endswith(ending)), "")
    return path.with_name(path.name.removesuffix(ending) + ".card.json")


def write_data_set(
    path: Path, records: Sequence[LabelRecord], fidelity_settings: FidelitySettings, engine: Engine
) -> Card:
    """Write labels and their card; what each cost goes into its frame's info line.

    Args:
        path: ``*.extxyz``, or ``*.extxyz.xz`` compressed.
        records: labels of this engine.
        fidelity_settings: those of the labels' fidelity.
        engine: its engine.

    Raises:
        LabelError: if there is none, a failure is among them, or they are of several levels.
    """
    labelled, costs = [], []
    for record in sorted(records, key=lambda r: (str(r.frame.key), r.frame.family, r.frame.frame_id)):
        if record.label is None:
            raise LabelError(str(path), f"failure {record.frame.frame_id}", "Export labels alone")
        if not _is_of(record, engine):
            raise LabelError(str(path), "two levels of theory", "Export one at a time")
        labelled.append(LabelledFrame(record.frame, record.label, fidelity_settings.name))
        costs.append(_cost(record))
    if not records:
        raise LabelError(
            str(path), f"no label of {fidelity_settings.name} in the store", "Label frames first, or import some"
        )
    numbers = np.unique(np.concatenate([record.frame.numbers for record in records]))
    times = sorted(record.timestamp for record in records)
    card = Card(
        CARD_FORMAT,
        fidelity_settings.name,
        fidelity_settings.engine.method,
        engine.name,
        engine.settings_of(numbers),
        tuple(sorted({record.engine_version for record in records})),
        tuple(sorted(Counter(str(record.frame.key) for record in records).items())),
        round(sum(record.core_s for record in records), 1),
        times[0],
        times[-1],
        (
            "Energies are raw supercell energies without any finite-size correction.",
            "REF_energy in eV, REF_forces in eV/A, REF_stress in eV/A^3, REF_vbm and REF_cbm in eV.",
        ),
    )
    write_labelled(path, labelled, costs)
    write_json(card_path(path), card)
    return card


def export(context: StudyContext, fidelity: str, path: Path, without: Sequence[Path] = ()) -> Card:
    """Write every label that the store has of a level, whatever study asked for it.

    Args:
        context: the study.
        level: ``low`` or ``high``.
        path: the data set to write.
        without: data sets, with their cards, whose structures are left out.

    Raises:
        LabelError: if there is none.
    """
    engine, fidelity_settings = context.engine(fidelity), context.fidelity_settings(fidelity)
    known = {item.frame.geometry_hash for other in without for item, _ in read_data_set(other, read_card(other))}
    records = [
        record
        for record in context.store.records()
        if record.label is not None and _is_of(record, engine) and record.frame.geometry_hash not in known
    ]
    return write_data_set(path, records, fidelity_settings, engine)


def relabel(context: StudyContext, fidelity: str, source: Path, target: Path) -> tuple[Card, tuple[str, ...]]:
    """Label the frames of a file with an engine of the study, through its store, as a data set.

    Args:
        context: the study.
        level: ``low`` or ``high``.
        source: frames, labelled or not, as extended XYZ; labels in it are not looked at.
        target: the data set to write.

    Returns:
        The card, and the reasons of frames that have no label.

    Raises:
        LabelError: if no frame has one.
    """
    engine, fidelity_settings = context.engine(fidelity), context.fidelity_settings(fidelity)
    frames = read_frames(source)
    title = f"{source.name} at {fidelity_settings.name}"
    records = context.label_many(frames, fidelity, title)
    failures = tuple(
        f"{record.frame.key} {record.frame.frame_id}: {record.failure or ', '.join(record.flags)}"
        for record in records
        if not record.trainable
    )
    usable = [record for record in records if record.trainable]
    return write_data_set(target, usable, fidelity_settings, engine), failures


def _is_of(record: LabelRecord, engine: Engine) -> bool:
    mine = (engine.name, engine.settings_of(record.frame.numbers))
    return (record.engine, record.settings) == mine


def read_card(path: Path) -> Card:
    """The card of a data file.

    Raises:
        StoreError: if there is none, or it is none.
    """
    if not card_path(path).exists():
        raise StoreError(
            str(path),
            f"has no card {card_path(path).name} beside it, so that its level of theory is unknown",
            "Give a data set that `defectscape export` or `relabel` wrote, with its card; the structures alone can be "
            "labelled by the study, as `imported` frames",
        )
    data = read_json(card_path(path))
    try:
        if not isinstance(data, dict):
            raise TypeError(f"it holds a {type(data).__name__}")
        card: Card = decode(Card, data)
        if not isinstance(json.loads(card.settings), dict):
            raise TypeError("its settings are no mapping")
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(str(card_path(path)), f"is no card ({error})", "Export it again") from error
    if card.format != CARD_FORMAT:
        raise StoreError(
            str(card_path(path)),
            f"format {card.format}, known is {CARD_FORMAT}",
            "Read it with the version of defectscape that wrote it",
        )
    return card


def read_data_set(path: Path, card: Card) -> tuple[tuple[LabelledFrame, dict[str, Any]], ...]:
    """Labelled frames with what is known of the cost of each (``core_s``, ``wall_s``, ...).

    Raises:
        LabelError: if the file is damaged, or does not hold the labels that its card counts.
    """
    labelled = read_labelled(path, card.fidelity)
    found = tuple(sorted(Counter(str(item.frame.key) for item in labelled).items()))
    if found != card.labels:
        raise LabelError(
            str(path),
            f"holds {dict(found)}, its card counts {dict(card.labels)}",
            "Give the card that belongs to it, or export both again",
        )
    return tuple(zip(labelled, read_info(path), strict=True))


def _cost(record: LabelRecord) -> dict[str, str | int | float]:
    return encode(
        {
            "engine_version": record.engine_version,
            "core_s": round(record.core_s, 2),
            "wall_s": round(record.wall_s, 2),
            "rung": record.rung,
            "computed": record.timestamp,
        }
    )
