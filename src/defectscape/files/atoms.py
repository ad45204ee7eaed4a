"""Frames and ASE atoms: one translation, in which the charge is never defaulted.

``atoms.info`` carries ``total_charge`` (e), ``total_spin`` (multiplicity, 2S + 1), ``defect``,
``origin``, ``frame_id``, ``family`` and, where there are any, ``parent`` and ``note``.
"""

from collections.abc import Mapping

import numpy as np
from ase import Atoms

from defectscape.domain.errors import DefectError, LabelError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey

_REMEDIES = {
    "total_charge": "Write the supercell's total charge, in e, as an integer; 0 if neutral",
    "total_spin": "Write the spin multiplicity, 2S + 1, as an integer",
}
SMALLEST_CELL_A3 = 1e-3
"""Less is no cell."""


def frame_info(frame: Frame) -> dict[str, int | str]:
    """What ``atoms.info`` says of a frame."""
    info: dict[str, int | str] = {
        "total_charge": frame.charge,
        "total_spin": frame.multiplicity,
        "defect": frame.key.defect,
        "origin": str(frame.origin),
        "frame_id": frame.frame_id,
        "family": frame.family,
        "note": frame.note,
    }
    if frame.parent is not None:
        info["parent"] = frame.parent
    return info


def to_atoms(frame: Frame) -> Atoms:
    """ASE atoms of a frame, periodic in all directions, without a calculator."""
    return Atoms(
        numbers=frame.numbers,
        positions=frame.positions_A,
        cell=frame.cell_A,
        pbc=True,
        info=frame_info(frame),
    )


def from_atoms(atoms: Atoms, thing: str = "frame") -> Frame:
    """The frame that ``to_atoms`` was given.

    Args:
        atoms: with the info keys named above; ``frame_id``, ``parent`` and ``note`` may be missing.
        thing: how errors name these atoms (file and index).

    Raises:
        LabelError: if the charge or another needed key is missing or not an integer, or if the
            stored ``frame_id`` is not that of the geometry.
    """
    info = atoms.info
    if not np.all(atoms.pbc):
        raise LabelError(thing, f"pbc {atoms.pbc.tolist()}", "Frames are periodic in all directions")
    if abs(np.linalg.det(atoms.cell[:])) < SMALLEST_CELL_A3:
        raise LabelError(f"{thing}, Lattice", "missing, or of no volume", "Write the three vectors of the supercell, A")
    key = _key(_text(info, "defect", thing), _integer(info, "total_charge", thing), thing)
    multiplicity = _integer(info, "total_spin", thing)
    origin = _origin(_text(info, "origin", thing), thing)
    family = _text(info, "family", thing)
    parent = _text(info, "parent", thing) if "parent" in info else None
    note = _text(info, "note", thing) if "note" in info else ""
    try:
        frame = Frame(
            atoms.numbers, atoms.positions, atoms.cell[:], key, multiplicity, origin, family, parent=parent, note=note
        )
    except LabelError as error:
        raise LabelError(f"{thing}, {error.thing}", error.value, error.remedy) from error
    stored = info.get("frame_id", frame.frame_id)
    if stored != frame.frame_id:
        raise LabelError(
            f"{thing}, frame_id",
            f"{stored} stored, {frame.frame_id} from the geometry",
            "The file was edited or damaged; write it again, or remove its frame_id",
        )
    return frame


def _key(defect: str, charge: int, thing: str) -> DefectKey:
    try:
        return DefectKey(defect, charge)
    except DefectError as error:
        raise LabelError(f"{thing}, {error.thing}", error.value, error.remedy) from error


def _origin(text: str, thing: str) -> Origin:
    try:
        return Origin(text)
    except ValueError as error:
        known = ", ".join(Origin)
        raise LabelError(f"{thing}, origin", repr(text), f"Known origins: {known}") from error


def _found(info: Mapping[str, object], name: str, thing: str) -> object:
    if name not in info:
        remedy = _REMEDIES.get(name, f"Write {name} into the frame's info line")
        raise LabelError(f"{thing}, {name}", "missing", remedy)
    return info[name]


def _integer(info: Mapping[str, object], name: str, thing: str) -> int:
    value = _found(info, name, thing)
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        plain = value.item() if isinstance(value, np.generic) else value
        raise LabelError(f"{thing}, {name}", repr(plain), _REMEDIES[name])
    return int(value)


def _text(info: Mapping[str, object], name: str, thing: str) -> str:
    value = _found(info, name, thing)
    if not isinstance(value, str):
        raise LabelError(f"{thing}, {name}", repr(value), "It must be text")
    return value
