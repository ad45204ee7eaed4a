"""Atoms that a structure has more or fewer than the host: which pair makes them, and what is said where none does."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from ase.geometry import find_mic

from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Floats, Ints
from defectscape.domain.site import DefectSite, HostCrystal, PointSite
from defectscape.sampling.orbits import crystal_symmetry, images

MOST = 2
"""So many atoms more, and as many fewer, make a pair of point defects."""


def exchanged(host: HostCrystal, numbers: Ints) -> dict[str, int]:
    """Atoms per element that a structure has more (negative: fewer) than the host, of a point defect or a pair.

    Raises:
        DefectError: if more atoms differ than those of a pair.
    """
    mine, theirs = Counter(numbers.tolist()), Counter(host.numbers.tolist())
    if (mine - theirs).total() > MOST or (theirs - mine).total() > MOST:
        raise strange(host, numbers)
    changes = {chemical_symbols[number]: mine[number] - theirs[number] for number in {*mine, *theirs}}
    return {symbol: changes[symbol] for symbol in sorted(changes) if changes[symbol]}


def is_point(changes: Mapping[str, int]) -> bool:
    """Whether one point defect makes these changes: at most one atom more, and one fewer."""
    return sorted(changes.values()) in ([1], [-1], [-1, 1])


def strange(host: HostCrystal, numbers: Ints) -> DefectError:
    """A composition of none of the study's defects."""
    mine, theirs = Counter(numbers.tolist()), Counter(host.numbers.tolist())
    return DefectError(
        "atoms",
        f"{formula(mine)}, the perfect supercell is {formula(theirs)}",
        "One vacancy, substitution or interstitial of the study's host is expected, or a pair that the study names",
    )


def unknown_site(host: HostCrystal, sites: Sequence[DefectSite], changes: Mapping[str, int]) -> DefectError:
    """A point defect at none of the known sites."""
    added = next((symbol for symbol, change in changes.items() if change > 0), None)
    removed = next((symbol for symbol, change in changes.items() if change < 0), None)
    name = f"{added or 'v'}_{removed}" if removed else f"i_{added}"
    known = {point.added for site in sites for point in site.points} | {None}
    known |= {chemical_symbols[number] for number in host.numbers.tolist()}
    if added not in known:
        return DefectError(
            "defect",
            f"{name}, and {added} is no element of the host or of its dopants",
            "Name a defect that adds it among the study's defects",
        )
    return DefectError(
        "defect", f"{name} at no site that the host is known to have", "Name its site with --defect if you know it"
    )


def unknown_pair(host: HostCrystal, pairs: Sequence[DefectSite], numbers: Ints) -> DefectError:
    """Two point defects that are no pair of the study."""
    if not pairs:
        return strange(host, numbers)
    names = ", ".join(pair.name for pair in pairs)
    return DefectError(
        "defect",
        f"the atoms of {names}, in another arrangement",
        "Name that arrangement among the study's defects, as v_Cd+Cl_Te_shell2, or with --defect if you know it",
    )


def formula(counts: Counter[int]) -> str:
    return "".join(f"{chemical_symbols[number]}{counts[number]}" for number in sorted(counts))


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
