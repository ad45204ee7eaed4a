"""Data sets with their cards, and frames named in a study, held against the study's host."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from defectscape.domain.cell import onto_cell
from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Frame, Ints, Origin
from defectscape.domain.keys import HOST, DefectKey
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.extxyz import read_frames
from defectscape.sampling.identification import check_atoms, check_cell, check_crystal, check_spin
from defectscape.settings.study import Study
from defectscape.study.imported import check_frames
from defectscape.tools.data_sets import Card, read_card, read_data_set
from defectscape.tools.import_offers import ImportTarget, LeftOut, Offer, imported_record, refused


def offer_data(target: ImportTarget, path: Path) -> Offer:
    """The frames of a data set.

    Raises:
        DefectscapeError: if the data set or its card is none, or damaged.
    """
    card = read_card(path)
    data = read_data_set(path, card)
    keys = ", ".join(key for key, _ in card.labels)
    refusal = _refusal(target, card, np.unique(np.concatenate([item.frame.numbers for item, _ in data])))
    if refusal:
        return refused(path, keys, len(data), refusal)
    found, left_out = [], []
    for place, (labelled, info) in enumerate(data, 1):
        fault = frame_fault(target.host, target.sites, labelled.frame, target.context.study.stated_multiplicities)
        if fault:
            left_out.append(LeftOut(place, fault))
            continue
        frame = labelled.frame
        if frame.origin is not Origin.REFERENCE:
            frame = onto_cell(frame, target.host.cell_A)
        version = str(info.get("engine_version", ", ".join(card.engine_versions)))
        found.append((place, imported_record(target.engine, frame, labelled.label, version, info)))
    return Offer(path, keys, tuple(found), tuple(left_out))


def frame_fault(
    host: HostCrystal, sites: Iterable[DefectSite], frame: Frame, stated: Mapping[DefectKey, int] | None = None
) -> str:
    """Why a frame is none of the host's supercell with its defect, or nothing; references may be any crystal.

    The multiplicities are those that are stated, by key, and of the other states the lowest.
    """
    if frame.origin is Origin.REFERENCE:
        return ""
    table = {site.name: site.changes for site in sites} | {HOST: {}}
    if frame.key.defect not in table:
        return f"{frame.key} is not of this host or its defects"
    try:
        check_atoms(host, frame.numbers, table[frame.key.defect])
        check_spin(frame, (stated or {}).get(frame.key))
        check_cell(host, frame.cell_A)
        perfect = frame.key.defect == HOST
        check_crystal(host, frame.numbers, frame.positions_A, frame.cell_A, perfect=perfect)
    except DefectError as error:
        return str(error)
    return ""


def check_imported(study: Study, host: HostCrystal, sites: Iterable[DefectSite], *, cell_known: bool = True) -> None:
    """Refuse frames named under ``imported`` that are none of the study's supercell; as ``check_frames``."""
    wanted = {defect.name for defect in study.defects}
    mine = [site for site in sites if site.name in wanted]
    check_frames(study.imported, host, mine, study.stated_multiplicities, cell_known=cell_known)


def unused_imported(study: Study, keys: Iterable[DefectKey]) -> tuple[str, ...]:
    """A line on the frames named under ``imported`` that are of none of the study's charge states, if there are any."""
    asked = set(keys)
    others = Counter(frame.key for path in study.imported for frame in read_frames(path) if frame.key not in asked)
    if not others:
        return ()
    named = ", ".join(f"{count} of {key}" for key, count in sorted(others.items()))
    return (f"imported: {others.total()} frames are not used, the study does not ask for their charge states: {named}",)


def _refusal(target: ImportTarget, card: Card, numbers: Ints) -> str:
    fidelity_settings = target.context.fidelity_settings(target.fidelity)
    if card.engine != target.engine.name:
        return f"labels of {card.engine}, fidelity {fidelity_settings.name} is {target.engine.name}"
    theirs = json.loads(card.settings)
    mine = json.loads(target.engine.settings_of(numbers))
    differing = sorted(name for name in {*theirs, *mine} if theirs.get(name) != mine.get(name))
    if differing:
        names = "; ".join(f"{n}: {theirs.get(n)}, not {mine.get(n)}" for n in differing)
        return f"other settings than fidelity {fidelity_settings.name}: {names}"
    return ""
