"""Which defect of the host a supercell from elsewhere holds, and its atoms in our order.

Names in other people's folders are not trusted: the structure is laid over the host's supercell and
compared atom by atom.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from defectscape.domain.cell import CELL_TOLERANCE_A, cell_difference_A
from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Floats, Frame, Ints, lowest_multiplicity
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.sampling.exchange import (
    exchanged,
    formula,
    is_point,
    nearest_pair,
    unknown_pair,
    unknown_site,
)
from defectscape.sampling.orbits import crystal_symmetry, nearest_image_A

CAP_A = 1.5
"""Distances in the assignment are capped here: an atom this far from its site is on none."""
REFERENCES = 4
"""Host atoms from which the shift between the two origins is guessed; a vacancy may be one of them."""
FAR_A = 1.5
"""A defect further than this from all known sites is at none of them."""
LEFT_A = 1.0
"""An atom further than this from its host site has left it."""
LEFT_SHARE = 1 / 3
"""Where more atoms than this share of the host's have left their sites the crystal is another one; in the perfect
host none may have. Of the 1992 frames in data/sb2se3, deep reconstructions among them, at most 9 of 39 atoms have."""


@dataclass(frozen=True, eq=False)
class Identified:
    """What a structure is.

    Attributes:
        site: the defect's site, or None for the perfect host.
        order: indices (n,) of the structure's atoms in the host's order, an added atom last among
            those of its element.
        distance_A: distance of the defect from the site it was taken for, A; 0 for the host.
        inverted: whether the crystal is the host's through a point, as zinc blende with its anions at 3/4 is
            of the one with them at 1/4: positions and forces change their sign.
    """

    site: DefectSite | None
    order: Ints
    distance_A: float
    inverted: bool = False


def identify(
    host: HostCrystal,
    sites: Sequence[DefectSite],
    numbers: Ints,
    positions_A: Floats,
    cell_A: Floats,
    far_A: float = FAR_A,
) -> Identified:
    """Find the defect of a structure in the host's supercell.

    Args:
        host: the host with its supercell.
        sites: the site table, interstitials and pairs included if they are to be found; or the one that somebody
            named. What a point defect can be is none of several pairs: ``v_Te+Te_Cd`` has the atoms of ``v_Cd``.
        numbers, positions_A, cell_A: the structure, (n,), (n, 3), (3, 3).
        far_A: largest distance of the defect from its site, A.

    Raises:
        DefectError: if the cell is another one, the atoms are not the host's but for one point
            defect or a pair, or the defect sits at no known site.
    """
    changes = exchanged(host, numbers)
    check_cell(host, cell_A)
    # A pair with the atoms of the perfect crystal, or of a point defect, is meant by nobody who does not name it.
    asked = sites[0] if len(sites) == 1 and sites[0].changes == changes else None
    perfect = not changes and asked is None
    positions_A, inverted = _oriented(host, numbers, _onto_host(host, positions_A, cell_A), perfect)
    positions_A = positions_A - rigid_shift_A(host, numbers, positions_A)
    order, vacant, extra = _assign(host, numbers, positions_A)
    if perfect:
        return Identified(None, order, 0.0, inverted)
    points = [site for site in sites if not site.partners and site.changes == changes]
    if is_point(changes) and not (asked and asked.partners):
        place = host.positions_A[vacant[0]] if vacant else positions_A[extra[0]]
        distance, site = _nearest_point(host, points, place)
        if site is None or distance > far_A:
            raise unknown_site(host, sites, changes)
        return Identified(site, order, distance, inverted)
    pairs = [site for site in sites if site.partners and site.changes == changes]
    found = nearest_pair(host, pairs, vacant, numbers[extra], positions_A[extra])
    if found is None and asked is not None:
        return Identified(asked, order, 0.0, inverted)
    if found is None or found[0] > far_A:
        raise unknown_pair(host, pairs, numbers)
    return Identified(found[1], order, found[0], inverted)


def _nearest_point(host: HostCrystal, points: Sequence[DefectSite], place: Floats) -> tuple[float, DefectSite | None]:
    """The point defect with a site closest to a place (3,), A, and how far it is."""
    to_unit = np.linalg.inv(host.unit_cell_A)
    symmetry = crystal_symmetry(host)
    found = [
        (nearest_image_A(symmetry, np.asarray(site.frac_coords) @ host.cell_A @ to_unit, place @ to_unit), site.name)
        for site in points
    ]
    if not found:
        return np.inf, None
    distance, name = min(found)
    return distance, next(site for site in points if site.name == name)


def _oriented(host: HostCrystal, numbers: Ints, positions_A: Floats, perfect: bool) -> tuple[Floats, bool]:
    """Positions that lie over the host's crystal, and whether they had to be inverted for it."""
    try:
        check_crystal(host, numbers, positions_A, host.cell_A, perfect=perfect)
    except DefectError as error:
        try:
            check_crystal(host, numbers, -positions_A, host.cell_A, perfect=perfect)
        except DefectError:
            raise error from None
        return -positions_A, True
    return positions_A, False


def check_cell(host: HostCrystal, cell_A: Floats) -> None:
    """Refuse a cell (3, 3), A, that is not the host's.

    Raises:
        DefectError: naming how far it is off.
    """
    worst = cell_difference_A(cell_A, host.cell_A)
    if worst > CELL_TOLERANCE_A:
        raise DefectError(
            "supercell",
            f"its lattice vectors differ from the study's by up to {worst:.4f} A, allowed are {CELL_TOLERANCE_A} A",
            "Take the host and the supercell matrix of these calculations for the study",
        )


def check_atoms(host: HostCrystal, numbers: Ints, changes: Mapping[str, int]) -> None:
    """Refuse atoms (n,) that are not the host's supercell with so many more (negative: fewer) of these elements.

    Raises:
        DefectError: naming both compositions.
    """
    if exchanged(host, numbers) != changes:
        raise DefectError(
            "atoms",
            f"{formula(Counter(numbers.tolist()))} in a supercell of {formula(Counter(host.numbers.tolist()))}, "
            "which is not what the defect's name says",
            "Give frames of the study's supercell",
        )


def check_spin(frame: Frame, stated: int | None = None) -> None:
    """Refuse a frame of another spin state than the one that the study computes.

    Args:
        frame: the frame.
        stated: the multiplicity that the study states; None for the lowest.

    Raises:
        DefectError: naming both multiplicities.
    """
    rule = lowest_multiplicity(frame.numbers, frame.charge) if stated is None else stated
    if frame.multiplicity != rule:
        raise DefectError(
            "total_spin",
            f"multiplicity {frame.multiplicity}, the study computes {frame.key} with {rule}",
            f"Take the frame out, or give its structure alone, without labels, in `imported` with total_spin={rule}",
        )


def check_crystal(
    host: HostCrystal, numbers: Ints, positions_A: Floats, cell_A: Floats, *, perfect: bool = False
) -> None:
    """Refuse a structure of the host's composition, a point defect or a pair apart, that is another crystal.

    Args:
        host: the host.
        numbers, positions_A, cell_A: the structure, (n,), (n, 3), (3, 3), in any order, with any origin.
        perfect: whether it has no defect, so that all its atoms must be on sites.

    Raises:
        DefectError: if the atoms are not the host's but for a point defect or a pair, or too many are far from
            the host's sites.
    """
    exchanged(host, numbers)
    positions_A = _onto_host(host, positions_A, cell_A)
    allowed = 0 if perfect else int(LEFT_SHARE * len(host.numbers))
    # Frames of a study lie over its host as they are; the search for their shift is slow.
    left = _left(host, numbers, positions_A)
    if len(left) > allowed:
        left = _left(host, numbers, positions_A - rigid_shift_A(host, numbers, positions_A))
    if len(left) > allowed:
        raise DefectError(
            "crystal",
            f"{len(left)} of {len(numbers)} atoms are more than {LEFT_A} A from the host's sites, the furthest "
            f"{max(left):.2f} A; allowed are {allowed}",
            "Take the host of these calculations for the study",
        )


def _left(host: HostCrystal, numbers: Ints, positions_A: Floats) -> list[float]:
    """How far the atoms that left their sites are from them, A; the added one has none."""
    order, _, extra = _assign(host, numbers, positions_A)
    found = []
    for number in np.unique(numbers):
        mine = [atom for atom in order if numbers[atom] == number and atom not in extra]
        theirs = np.flatnonzero(host.numbers == number)
        if mine:
            gaps = _distances_A(positions_A[mine], host.positions_A[theirs], host.cell_A)
            rows, columns = linear_sum_assignment(gaps**2)
            found += [float(gap) for gap in gaps[rows, columns] if gap > LEFT_A]
    return found


def _onto_host(host: HostCrystal, positions_A: Floats, cell_A: Floats) -> Floats:
    """Positions at the same fractional coordinates of the host's cell; as they are where it is their own."""
    if np.array_equal(cell_A, host.cell_A):
        return positions_A
    return np.asarray(positions_A @ np.linalg.inv(cell_A) @ host.cell_A)


def _distances_A(ones: Floats, others: Floats, cell_A: Floats) -> Floats:
    """Distances (n, m) under periodic boundaries, A."""
    gaps = (ones[:, None, :] - others[None, :, :]) @ np.linalg.inv(cell_A)
    gaps -= np.rint(gaps)
    return np.asarray(np.linalg.norm(gaps @ cell_A, axis=2))


def rigid_shift_A(host: HostCrystal, numbers: Ints, positions_A: Floats) -> Floats:
    """Rigid shift (3,) of the structure against the host that lays most atoms onto their sites."""
    best, best_cost = np.zeros(3), np.inf
    same = numbers[:, None] == host.numbers[None, :]
    picks = np.linspace(0, len(host.numbers) - 1, REFERENCES).astype(int)
    for pick in picks:
        for atom in np.flatnonzero(numbers == host.numbers[pick]):
            shift = positions_A[atom] - host.positions_A[pick]
            gaps = _distances_A(positions_A - shift, host.positions_A, host.cell_A)
            cost = float(np.sum(np.minimum(np.where(same, gaps, CAP_A).min(axis=1), CAP_A) ** 2))
            if cost < best_cost:
                best, best_cost = shift, cost
    gaps = (positions_A - best)[:, None, :] - host.positions_A[None, :, :]
    fracs = gaps @ np.linalg.inv(host.cell_A)
    vectors = (fracs - np.rint(fracs)) @ host.cell_A
    lengths = np.where(same, np.linalg.norm(vectors, axis=2), np.inf)
    nearest = vectors[np.arange(len(numbers)), lengths.argmin(axis=1)]
    # The one atom the shift was read off may itself have moved; the median has not.
    return np.asarray(best + np.median(nearest, axis=0))


def _assign(host: HostCrystal, numbers: Ints, positions_A: Floats) -> tuple[Ints, list[int], list[int]]:
    """Atoms in the host's order, the host atoms that have none, and the atoms that have no host atom."""
    gaps = _distances_A(positions_A, host.positions_A, host.cell_A) ** 2
    taken: dict[int, int] = {}
    extra: list[int] = []
    for number in dict.fromkeys([*host.numbers.tolist(), *numbers.tolist()]):
        mine, theirs = np.flatnonzero(numbers == number), np.flatnonzero(host.numbers == number)
        rows, columns = linear_sum_assignment(gaps[np.ix_(mine, theirs)])
        taken |= {int(theirs[c]): int(mine[r]) for r, c in zip(rows, columns, strict=True)}
        extra += sorted(set(mine.tolist()) - {int(mine[r]) for r in rows})
    order = [taken[site] for site in range(len(host.numbers)) if site in taken]
    vacant = [site for site in range(len(host.numbers)) if site not in taken]
    for atom in extra:
        same = [place for place, other in enumerate(order) if numbers[other] == numbers[atom]]
        order.insert(same[-1] + 1 if same else len(order), atom)
    return np.array(order), vacant, extra
