"""Symmetry of points in the host: their orbits under the crystal's space group."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import spglib

from defectscape.domain.errors import HostError
from defectscape.domain.frame import Floats
from defectscape.domain.site import HostCrystal
from defectscape.files.structures import spglib_cell, to_structure
from defectscape.sampling.host_checks import TIGHT_A

COINCIDE_A = 0.1
"""Two points of the perfect crystal are one below this distance, A."""


@dataclass(frozen=True, eq=False)
class CrystalSymmetry:
    """Space-group operations of the host's unit cell.

    Attributes:
        rotations: shape (k, 3, 3), in units of the unit-cell vectors.
        translations: shape (k, 3).
        cell_A: the unit cell, shape (3, 3), A.
        cells: primitive cells in the unit cell.
    """

    rotations: np.ndarray
    translations: np.ndarray
    cell_A: Floats
    cells: int


@lru_cache(maxsize=8)
def crystal_symmetry(host: HostCrystal) -> CrystalSymmetry:
    """The host's space-group operations, found by spglib within 0.01 A.

    Raises:
        HostError: if spglib finds none, not even the identity.
    """
    structure = to_structure(host.unit_numbers, host.unit_positions_A, host.unit_cell_A)
    found = spglib.get_symmetry_dataset(spglib_cell(structure), symprec=TIGHT_A)
    if found is None:
        raise HostError("host", host.formula, "spglib finds no symmetry; check the coordinates")
    identity = (found.rotations == np.eye(3, dtype=int)).all(axis=(1, 2))
    return CrystalSymmetry(found.rotations, found.translations, host.unit_cell_A, int(identity.sum()))


def images(symmetry: CrystalSymmetry, frac: Floats) -> Floats:
    """Points (k, 3) that the operations make of one, unit-cell fractions (3,)."""
    return np.asarray(symmetry.rotations @ frac + symmetry.translations)


def _gaps_A(symmetry: CrystalSymmetry, points: Floats, frac: Floats) -> Floats:
    """Distances (k,) of points to a point, images included, A."""
    gaps = points - frac
    gaps -= np.rint(gaps)
    return np.asarray(np.linalg.norm(gaps @ symmetry.cell_A, axis=-1))


def are_equivalent(symmetry: CrystalSymmetry, one: Floats, other: Floats) -> bool:
    """Whether an operation brings one point, in unit-cell fractions (3,), onto the other."""
    return bool(np.any(_gaps_A(symmetry, images(symmetry, one), other) < COINCIDE_A))


def site_multiplicity(symmetry: CrystalSymmetry, frac: Floats) -> int:
    """Equivalent points per primitive cell, by the orbit-stabiliser theorem."""
    kept = _gaps_A(symmetry, images(symmetry, frac), frac) < COINCIDE_A
    stabiliser = len(np.unique(symmetry.rotations[kept], axis=0))
    return len(symmetry.rotations) // symmetry.cells // stabiliser


def nearest_image_A(symmetry: CrystalSymmetry, frac: Floats, place: Floats) -> float:
    """Distance of a place to the closest point equivalent to another, unit-cell fractions (3,), A."""
    return float(np.min(_gaps_A(symmetry, images(symmetry, frac), place)))
