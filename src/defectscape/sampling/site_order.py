"""The order of interstitials, and so their names: by symmetry and place in the unit cell, never by bond lengths.

Sites of a smaller multiplicity come first. Among those of one multiplicity the order is that of the distance, in
fractions of the unit cell's vectors, of the closest equivalent point to one fixed point of the cell. It changes
continuously when a host is strained or its atoms relax, and needs no choice among equivalent points.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from defectscape.domain.frame import Floats
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.sampling.orbits import CrystalSymmetry, crystal_symmetry, images, nearest_image_A

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
