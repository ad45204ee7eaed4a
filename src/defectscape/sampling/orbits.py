"""Symmetry of points in the host: their orbits under the crystal's space group, and the order of interstitials.

The order gives interstitials their names: it follows symmetry and place in the unit cell, never bond lengths. Sites
of a smaller multiplicity come first. Among those of one multiplicity the order is that of the distance, in fractions
of the unit cell's vectors, of the closest equivalent point to one fixed point of the cell. It changes continuously
when a host is strained or its atoms relax, and needs no choice among equivalent points.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import spglib
from scipy.optimize import linear_sum_assignment

from defectscape.domain.errors import HostError
from defectscape.domain.frame import Floats
from defectscape.domain.site import DefectSite, HostCrystal
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


FIXED_POINT = np.array([0.62, 0.38, 0.997])
"""A place of no symmetry, fractions of the unit cell's vectors: sites keep away from one distance to it."""
SAME_SITE_A = 1.0
"""Interstitials of two relaxations of one host, closer than this, are one site; others are further apart."""


def place_in_cell(symmetry: CrystalSymmetry, unit_frac: Floats) -> float:
    """Distance of the closest equivalent point to the fixed one, in fractions of the cell's vectors."""
    gaps = images(symmetry, unit_frac) - FIXED_POINT
    gaps -= np.rint(gaps)
    return float(np.min(np.linalg.norm(gaps, axis=-1)))


def keep_names(host: HostCrystal, named: Sequence[DefectSite], found: Sequence[DefectSite]) -> tuple[DefectSite, ...]:
    """Sites found in a relaxed host, its interstitials under the names that they have in the host's file.

    Args:
        host: the relaxed host.
        named: the sites of the host as it is in its file; their names count.
        found: the sites of the relaxed host. An interstitial that is no longer found keeps its fractional place.
    """
    symmetry = crystal_symmetry(host)
    to_unit = host.cell_A @ np.linalg.inv(host.unit_cell_A)
    kept = [site for site in found if site.kind != "interstitial"]
    for added in dict.fromkeys(site.added for site in named if site.kind == "interstitial"):
        old = [site for site in named if site.kind == "interstitial" and site.added == added]
        new = [site for site in found if site.kind == "interstitial" and site.added == added]
        gaps_A = np.array(
            [
                [
                    nearest_image_A(symmetry, np.asarray(o.frac_coords) @ to_unit, np.asarray(n.frac_coords) @ to_unit)
                    for n in new
                ]
                for o in old
            ]
        ).reshape(len(old), len(new))
        rows, columns = linear_sum_assignment(np.minimum(gaps_A, SAME_SITE_A))
        partner = {int(r): new[int(c)] for r, c in zip(rows, columns, strict=True) if gaps_A[r, c] < SAME_SITE_A}
        kept += [replace(partner.get(index, site), name=site.name) for index, site in enumerate(old)]
    return tuple(kept)
