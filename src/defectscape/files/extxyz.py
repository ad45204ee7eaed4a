"""Frames and labels as extended XYZ, exact to the last bit.

The files are read with ASE and can be read by anything that reads extended XYZ. They are not
written with ASE: its ``%16.8f`` moves positions (and so, now and then, the geometry hash), and a
text that looks like a number or a truth value (a ``frame_id`` of digits only, the note ``T``)
comes back as one. Here floats are written with all their digits, and such texts as JSON strings,
which ASE turns back into the same text.

Labels stand in ``REF_energy`` (eV, raw supercell energy), ``REF_forces`` (eV/A), ``REF_stress``
(eV/A^3, nine numbers, row by row), ``REF_vbm`` and ``REF_cbm`` (eV), ``REF_magnetisation``
(integral of |spin density|, Bohr magnetons).
"""

import json
import lzma
import zlib
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.io.extxyz import XYZError, key_val_str_to_dict

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Floats, Frame
from defectscape.domain.label import Label, LabelledFrame
from defectscape.files.atoms import frame_info, from_atoms
from defectscape.files.text import read_text, write_text

_READ_FAILURES = (
    XYZError,
    ValueError,
    KeyError,
    IndexError,
    OSError,
    EOFError,
    lzma.LZMAError,
    zlib.error,
)
"""What ASE, and what unpacks for it, raise on a file they cannot make sense of."""


def write_frames(path: Path, frames: Sequence[Frame]) -> None:
    """Write frames, without labels, atomically; no frames make an empty file."""
    write_text(path, "".join(_block(frame, None) for frame in frames))


def read_frames(path: Path) -> tuple[Frame, ...]:
    """Read frames.

    Raises:
        LabelError: naming file and frame, if the file is missing or broken, a frame has no
            ``total_charge``, or its ``frame_id`` is not that of its geometry.
    """
    return tuple(from_atoms(atoms, thing) for atoms, thing in _images(path))


def write_labelled(
    path: Path,
    labelled: Sequence[LabelledFrame],
    extra: Sequence[Mapping[str, str | int | float]] | None = None,
) -> None:
    """Write labelled frames of one fidelity atomically.

    Args:
        extra: for each frame what else its info line is to say; ``read_info`` gives it back.

    Raises:
        LabelError: if the frames are of different fidelities: one file holds one level of theory.
    """
    fidelities = sorted({item.fidelity for item in labelled})
    if len(fidelities) > 1:
        raise LabelError(f"{path}, fidelities", ", ".join(fidelities), "Write one file per fidelity")
    lines = [{} for _ in labelled] if extra is None else extra
    write_text(
        path,
        "".join(_block(item.frame, item.label, more) for item, more in zip(labelled, lines, strict=True)),
    )


def read_labelled(path: Path, fidelity: str) -> tuple[LabelledFrame, ...]:
    """Read labelled frames of the named fidelity.

    Raises:
        LabelError: as ``read_frames``, and if a frame has no ``REF_energy`` or ``REF_forces``.
    """
    return tuple(
        LabelledFrame(from_atoms(atoms, thing), _label(atoms, thing), fidelity) for atoms, thing in _images(path)
    )


def read_info(path: Path) -> tuple[dict[str, Any], ...]:
    """The info line of every frame, as it stands in the file."""
    return tuple(dict(atoms.info) for atoms, _ in _images(path))


def _block(frame: Frame, label: Label | None, extra: Mapping[str, str | int | float] | None = None) -> str:
    columns = "species:S:1:pos:R:3"
    rows = frame.positions_A
    info: dict[str, str] = {name: _value(value) for name, value in frame_info(frame).items()}
    if label is not None:
        columns += ":REF_forces:R:3"
        rows = np.hstack([rows, label.forces_eV_A])
        info["REF_energy"] = repr(label.energy_eV)
        if label.stress_eV_A3 is not None:
            info["REF_stress"] = _numbers(label.stress_eV_A3)
        for name, value in (
            ("REF_vbm", label.vbm_eV),
            ("REF_cbm", label.cbm_eV),
            ("REF_magnetisation", label.absolute_magnetisation),
        ):
            if value is not None:
                info[name] = repr(float(value))
    info |= {name: repr(value) if isinstance(value, float) else _value(value) for name, value in (extra or {}).items()}
    header = " ".join(f"{name}={text}" for name, text in info.items())
    lines = [
        str(len(frame)),
        f'Lattice={_numbers(frame.cell_A)} Properties={columns} {header} pbc="T T T"',
    ]
    for number, row in zip(frame.numbers, rows.tolist(), strict=True):
        lines.append(f"{chemical_symbols[number]} {' '.join(map(repr, row))}")
    return "\n".join(lines) + "\n"


def _numbers(values: Floats) -> str:
    return f'"{" ".join(map(repr, values.ravel().tolist()))}"'


def _value(value: int | str) -> str:
    """A value as it is written on the info line; the reader gets exactly this value back."""
    if isinstance(value, int):
        return str(value)
    if value.isascii() and value.isprintable():
        quoted = _quoted(value)
        back = key_val_str_to_dict(f"key={quoted}")["key"]
        if isinstance(back, str) and back == value:
            return quoted
    return _quoted(f"_JSON {json.dumps(value)}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _images(path: Path) -> Iterator[tuple[Atoms, str]]:
    """Atoms of every frame of the file, each with the name that errors give it."""
    if not path.is_file():
        raise LabelError(str(path), "no such file", "Write it, or mend its path")
    if path.stat().st_size == 0:
        return
    try:
        # Unpacked at once: ASE seeks to every frame, which unpacks a packed file from its start each time.
        blocks = frame_blocks(read_text(path), str(path))
        images = ase.io.read(StringIO("".join(blocks)), index=":", format="extxyz") if blocks else []
    except _READ_FAILURES as error:
        reason = f"unknown name {error}" if isinstance(error, KeyError) else str(error)
        raise LabelError(str(path), f"not extended XYZ ({reason})", "Write the file again") from error
    if len(images) != len(blocks):
        raise LabelError(str(path), f"{len(blocks)} frames, of which {len(images)} can be read", "Write the file again")
    for index, atoms in enumerate(images):
        yield atoms, f"{path}, frame {index}"


def frame_blocks(text: str, thing: str) -> list[str]:
    """The text of every frame, blank lines between frames left out: ASE stops at the first one and loses the rest.

    Raises:
        LabelError: naming the line where no frame begins, or one ends before its time.
    """
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    blocks: list[str] = []
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        count = lines[at].split()
        if len(count) != 1 or not count[0].isdecimal():
            raise LabelError(
                f"{thing}, line {at + 1}",
                f"not extended XYZ, {lines[at][:40]!r} is no number of atoms",
                "Write the file again",
            )
        end = at + 2 + int(count[0])
        blank = next((k for k in range(at + 1, end) if k >= len(lines) or not lines[k].strip()), None)
        if blank is not None:
            what = "the file ends" if blank >= len(lines) - 1 else "a blank line"
            raise LabelError(
                f"{thing}, line {blank + 1}",
                f"not extended XYZ, {what} inside frame {len(blocks)} ({count[0]} atoms) of line {at + 1}",
                "Write the file again",
            )
        blocks.append("".join(f"{line}\n" for line in lines[at:end]))
        at = end
    return blocks


def _label(atoms: Atoms, thing: str) -> Label:
    if "REF_energy" not in atoms.info or "REF_forces" not in atoms.arrays:
        raise LabelError(thing, "REF_energy or REF_forces missing", "Give a file of labelled frames")
    try:
        return _label_of(atoms)
    except LabelError as error:
        raise LabelError(f"{thing}, {error.thing}", error.value, error.remedy) from error
    except (TypeError, ValueError) as error:
        raise LabelError(f"{thing}, label", f"is none ({error})", "Take it out, or write the file again") from error


def _label_of(atoms: Atoms) -> Label:
    stress = atoms.info.get("REF_stress")
    return Label(
        energy_eV=float(atoms.info["REF_energy"]),
        forces_eV_A=atoms.arrays["REF_forces"],
        stress_eV_A3=None if stress is None else np.reshape(stress, (3, 3)),
        vbm_eV=_optional(atoms, "REF_vbm"),
        cbm_eV=_optional(atoms, "REF_cbm"),
        absolute_magnetisation=_optional(atoms, "REF_magnetisation"),
    )


def _optional(atoms: Atoms, name: str) -> float | None:
    return float(atoms.info[name]) if name in atoms.info else None
