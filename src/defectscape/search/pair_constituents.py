"""Whether the point defects found in a structure are the pair that it began as, in the same arrangement."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from ase.geometry import find_mic

from defectscape.domain.site import DefectSite, HostCrystal, PointSite
from defectscape.search.constituents import PointDefect

SAME_A = 0.1
"""Sites of the host are one within this distance."""
LOOSE_A = 1.5
"""An interstitial that relaxed is still the one that it was named after."""


def is_that_pair(host: HostCrystal, pair: DefectSite, found: Sequence[PointDefect]) -> bool:
    """Whether two constituents are the partners of a pair, and as they were: the same sites, or others equally placed.

    Args:
        host: the perfect supercell.
        pair: the pair.
        found: the constituents of a structure.
    """
    if len(found) != len(pair.partners):
        return False
    return any(_same(host, pair.partners, order) for order in permutations(found))


def _same(host: HostCrystal, partners: Sequence[PointSite], found: Sequence[PointDefect]) -> bool:
    if any(partner.name != defect.name for partner, defect in zip(partners, found, strict=True)):
        return False
    limit_A = LOOSE_A if any(partner.removed is None for partner in partners) else SAME_A
    first, second = (np.asarray(partner.frac_coords) @ host.cell_A for partner in partners)
    meant = _distance_A(host, second - first)
    return abs(_distance_A(host, np.subtract(found[1].position_A, found[0].position_A)) - meant) < limit_A


def _distance_A(host: HostCrystal, vector: np.ndarray) -> float:
    return float(find_mic(vector, host.cell_A, pbc=True)[1])
