"""Frames that were imported, held against the study's host."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from defectscape.domain.errors import DefectError, LabelError
from defectscape.domain.frame import Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.extxyz import read_frames
from defectscape.sampling.identification import check_atoms, check_cell, check_crystal, check_spin


def check_frames(
    paths: Sequence[Path],
    host: HostCrystal,
    sites: Iterable[DefectSite],
    stated: Mapping[DefectKey, int],
    *,
    cell_known: bool = True,
) -> None:
    """Refuse frames named under ``imported`` that are none of the study's supercell.

    Args:
        paths: the files.
        host: the study's host.
        sites: the study's own defects; frames of others are not looked at, for they are not used.
        stated: multiplicities that the study states, by key; the others are the lowest.
        cell_known: whether the host has its final cell.

    Raises:
        LabelError: naming file and frame.
    """
    table = {site.name: site.changes for site in sites}
    for path in paths:
        for number, frame in enumerate(read_frames(path)):
            if frame.origin is Origin.REFERENCE or frame.key.defect not in table:
                continue
            try:
                check_atoms(host, frame.numbers, table[frame.key.defect])
                check_spin(frame, stated.get(frame.key))
                if cell_known:
                    check_cell(host, frame.cell_A)
                check_crystal(host, frame.numbers, frame.positions_A, frame.cell_A)
            except DefectError as error:
                raise LabelError(
                    f"imported, {path}, frame {number}", f"{error.thing}: {error.value}", error.remedy
                ) from error
