"""Which pair of point defects a structure holds, from its empty sites and its atoms that are on none."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from ase.data import atomic_numbers
from ase.geometry import find_mic

from defectscape.domain.frame import Floats, Ints
from defectscape.domain.site import DefectSite, HostCrystal, PointSite
from defectscape.sampling.orbits import crystal_symmetry, images


def nearest_pair(
    host: HostCrystal, pairs: Sequence[DefectSite], vacant: Sequence[int], extra: Ints, extra_A: Floats
) -> tuple[float, DefectSite] | None:
    """The pair whose partners are closest to what was found, and how far the further partner is off, A.

    Args:
        host: the crystal.
        pairs: those of the structure's composition.
        vacant: host atoms that have none.
        extra, extra_A: atomic numbers (k,) of the atoms that are no host atoms, and their positions (k, 3), A.

    Returns:
        None where no pair has its partners' elements among them.
    """
    found = [
        (distance_A, pair.name, pair)
        for pair in pairs
        for one_A, other_A in product(*(_places(host, point, vacant, extra, extra_A) for point in pair.partners))
        if not np.array_equal(one_A, other_A)
        for distance_A in [_off_A(host, pair, one_A, other_A)]
    ]
    if not found:
        return None
    distance_A, _, pair = min(found, key=lambda item: item[:2])
    return distance_A, pair


def _places(
    host: HostCrystal, point: PointSite, vacant: Sequence[int], extra: Ints, extra_A: Floats
) -> Iterator[Floats]:
    """Where a partner may be: empty sites of the element that it takes out, else atoms of the one that it adds."""
    if point.removed is not None:
        number = atomic_numbers[point.removed]
        yield from (host.positions_A[site] for site in vacant if host.numbers[site] == number)
    else:
        number = atomic_numbers[str(point.added)]
        yield from extra_A[extra == number]


def _off_A(host: HostCrystal, pair: DefectSite, one_A: Floats, other_A: Floats) -> float:
    """How far a pair is from two places under the host's symmetry, A: the further of its two partners."""
    symmetry, inverse = crystal_symmetry(host), np.linalg.inv(host.unit_cell_A)
    first, second = (np.asarray(point.frac_coords) @ host.cell_A for point in pair.partners)
    vector, _ = find_mic(second - first, host.cell_A, pbc=True)
    begins = images(symmetry, first @ inverse) - one_A @ inverse
    begins -= np.rint(begins)
    off_begin = np.linalg.norm(begins @ host.unit_cell_A, axis=1)
    turned = (symmetry.rotations @ (vector @ inverse)) @ host.unit_cell_A
    _, off_vector = find_mic(turned - (other_A - one_A), host.cell_A, pbc=True)
    return float(np.min(np.maximum(off_begin, np.asarray(off_vector))))
