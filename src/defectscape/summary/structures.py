"""Structures of all minima as files: POSCARs and one extended XYZ file."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ase.io import write

from defectscape.files.atoms import to_atoms
from defectscape.files.extxyz import write_frames
from defectscape.study.context import StudyContext
from defectscape.summary.minima import geometry_name
from defectscape.summary.searched import Searched


def write_structures(context: StudyContext, groups: Sequence[Searched]) -> None:
    """POSCARs and one extended XYZ file of all minima, the verified geometry where there is one."""
    folder = context.layout.minima_folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    frames = []
    for searched in groups:
        verified = {
            (key, item.minimum.rank): item.frame
            for key, items in searched.verified.items()
            for item in items
            if item.final_label is not None
        }
        for minimum in searched.minima:
            key = minimum.frame.key
            frame = verified.get((key, minimum.rank), minimum.frame)
            frames.append(frame)
            path = context.layout.together / geometry_name(key, minimum.rank)
            write(path, to_atoms(frame), format="vasp", direct=True, sort=True)
            _title(path, f"{key} minimum {minimum.rank}, total charge {key.charge:+d} e")
    write_frames(context.layout.minima_extxyz, frames)


def _title(path: Path, text: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([text, *lines[1:]]) + "\n", encoding="utf-8")
