"""Structures of all minima as files: POSCARs and one extended XYZ file."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ase.io import write

from defectscape.files.atoms import to_atoms
from defectscape.files.extxyz import write_frames
from defectscape.study.context import StudyContext
from defectscape.summary.found import names_of
from defectscape.summary.minima import geometry_name
from defectscape.summary.searched import Searched


def write_structures(context: StudyContext, groups: Sequence[Searched]) -> None:
    """POSCARs and one extended XYZ file of all minima, the verified geometry where there is one.

    The first line of a POSCAR says what it holds.
    """
    folder = context.layout.minima_folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    frames = []
    for searched in groups:
        structures = searched.structures()
        names = names_of(context, structures)
        for (key, rank), frame in structures.items():
            frames.append(frame)
            path = context.layout.folder / geometry_name(key, rank)
            write(path, to_atoms(frame), format="vasp", direct=True, sort=True)
            _title(path, f"{key} minimum {rank}: {names[key, rank]}; total charge {key.charge:+d} e")
    write_frames(context.layout.minima_extxyz, frames)


def _title(path: Path, text: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([text, *lines[1:]]) + "\n", encoding="utf-8")
