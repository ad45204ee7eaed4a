"""A frame: one structure with its defect, charge, spin, origin and family."""

import hashlib
import json
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from defectscape.domain.errors import LabelError
from defectscape.domain.keys import DefectKey

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GEOMETRY_DECIMALS = 5
"""Cells and positions are compared, and hashed, rounded to 1e-5 A."""

NO_MOMENT = 0
"""Multiplicity of a metal without moment: both spins share all levels and their smeared occupations, so an odd number
of electrons leaves none unpaired. References alone have it."""


class Origin(StrEnum):
    """Where a frame came from."""

    HOST = "host"
    REFERENCE = "reference"
    START = "start"
    RATTLE = "rattle"
    RELAXATION = "relaxation"
    MD = "md"
    MINIMUM = "minimum"


def frozen_array(values: object, dtype: type, shape: tuple[int, ...], thing: str) -> NDArray:
    """A read-only copy of ``values`` with the given shape, all finite.

    Raises:
        LabelError: if the shape is wrong or a value is not finite.
    """
    array: NDArray = np.array(values, dtype=dtype)
    if array.shape != shape:
        raise LabelError(thing, f"shape {array.shape}", f"It must have shape {shape}")
    if not np.all(np.isfinite(array)):
        raise LabelError(thing, "NaN or infinity", "Such a value is never used; compute it again")
    array.setflags(write=False)
    return array


def lowest_multiplicity(numbers: Ints, charge: int) -> int:
    """The spin rule of the house: singlet for an even electron count, doublet for an odd one."""
    return 1 + (int(np.sum(numbers)) - charge) % 2


def next_multiplicity(numbers: Ints, charge: int, multiplicity: int) -> int:
    """The other plausible multiplicity: two more than the lowest one, else two fewer."""
    return multiplicity + 2 if multiplicity <= lowest_multiplicity(numbers, charge) else multiplicity - 2


@dataclass(frozen=True, eq=False)
class Frame:
    """One periodic structure in one charge state.

    Attributes:
        numbers: atomic numbers, shape (n,).
        positions_A: Cartesian positions, shape (n, 3), A.
        cell_A: lattice vectors in rows, shape (3, 3), A.
        key: defect and total charge.
        multiplicity: spin multiplicity, 2S + 1; ``NO_MOMENT`` for a metal of an odd number of electrons.
        origin: where the frame came from.
        family: geometry family (a start and all its descendants, across charges): frames of one
            family never stand on both sides of a train/test split.
        parent: frame_id of the frame this one was made from, or None.
        note: what was done to the parent, in words.
    """

    numbers: Ints
    positions_A: Floats
    cell_A: Floats
    key: DefectKey
    multiplicity: int
    origin: Origin
    family: str
    parent: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        count = len(self.numbers)
        set_ = object.__setattr__
        set_(self, "numbers", frozen_array(self.numbers, np.int64, (count,), "atomic numbers"))
        set_(self, "positions_A", frozen_array(self.positions_A, np.float64, (count, 3), "positions"))
        set_(self, "cell_A", frozen_array(self.cell_A, np.float64, (3, 3), "cell"))

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def charge(self) -> int:
        """Total charge, units of e."""
        return self.key.charge

    @property
    def unpaired(self) -> int:
        """Unpaired electrons of the cell; none where no moment is fixed."""
        return max(self.multiplicity - 1, 0)

    @cached_property
    def geometry_hash(self) -> str:
        """Hash of species, cell and positions (1e-5 A), charge and multiplicity: 64 hex digits."""
        scale = 10**GEOMETRY_DECIMALS
        content = {
            "numbers": self.numbers.tolist(),
            "cell": np.rint(self.cell_A * scale).astype(np.int64).tolist(),
            "positions": np.rint(self.positions_A * scale).astype(np.int64).tolist(),
            "charge": self.charge,
            "multiplicity": self.multiplicity,
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def frame_id(self) -> str:
        """Short name of the frame: the first 16 digits of its geometry hash."""
        return self.geometry_hash[:16]

    def moved(self, positions_A: Floats, *, origin: Origin, note: str = "") -> "Frame":
        """A descendant: the same atoms, cell, charge and family at other positions (n, 3) in A."""
        return Frame(
            self.numbers,
            positions_A,
            self.cell_A,
            self.key,
            self.multiplicity,
            origin,
            self.family,
            self.frame_id,
            note,
        )

    def recharged(self, charge: int, *, origin: Origin, note: str = "", multiplicity: int | None = None) -> "Frame":
        """The same geometry and family in another charge state, with a spin multiplicity; None for the lowest."""
        return Frame(
            self.numbers,
            self.positions_A,
            self.cell_A,
            DefectKey(self.key.defect, charge),
            lowest_multiplicity(self.numbers, charge) if multiplicity is None else multiplicity,
            origin,
            self.family,
            self.frame_id,
            note,
        )

    def respun(self, multiplicity: int, *, note: str = "") -> "Frame":
        """The same geometry, charge and family in another spin state."""
        return replace(self, multiplicity=multiplicity, parent=self.frame_id, note=note)
