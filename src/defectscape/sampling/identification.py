"""Which defect of the host a supercell from elsewhere holds, and its atoms in our order.

Names in other people's folders are not trusted: the structure is laid over the host's supercell and
compared atom by atom.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from scipy.optimize import linear_sum_assignment

from defectscape.domain.cell import CELL_TOLERANCE_A, cell_difference_A
from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Floats, Frame, Ints, lowest_multiplicity
from defectscape.domain.site import DefectSite, HostCrystal
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
        sites: the site table, interstitials included if they are to be found.
        numbers, positions_A, cell_A: the structure, (n,), (n, 3), (3, 3).
        far_A: largest distance of the defect from its site, A.

    Raises:
        DefectError: if the cell is another one, the atoms are not the host's but for one point
            defect, or the defect sits at no known site.
    """
    added, removed = _difference(host, numbers)
    check_cell(host, cell_A)
    positions_A, inverted = _oriented(host, numbers, _onto_host(host, positions_A, cell_A))
    shift = rigid_shift_A(host, numbers, positions_A)
    order, vacant, extra = _assign(host, numbers, positions_A - shift)
    if added is None and removed is None:
        return Identified(None, order, 0.0, inverted)
    place = host.positions_A[vacant] if vacant is not None else positions_A[extra] - shift
    candidates = [site for site in sites if (site.added, site.removed) == (added, removed)]
    to_unit = np.linalg.inv(host.unit_cell_A)
    symmetry = crystal_symmetry(host)
    found = []
    for site in candidates:
        frac = np.asarray(site.frac_coords) @ host.cell_A @ to_unit
        found.append((nearest_image_A(symmetry, frac, place @ to_unit), site.name, site))
    if not found or min(found)[0] > far_A:
        name = f"{added or 'v'}_{removed}" if removed else f"i_{added}"
        known = {site.added for site in sites} | {chemical_symbols[number] for number in host.numbers.tolist()} | {None}
        if added not in known:
            raise DefectError(
                "defect",
                f"{name}, and {added} is no element of the host or of its dopants",
                "Name a defect that adds it among the study's defects",
            )
        raise DefectError(
            "defect",
            f"{name} at no site that the host is known to have",
            "Name its site with --defect if you know it",
        )
    distance, _, site = min(found)
    return Identified(site, order, distance, inverted)


def _oriented(host: HostCrystal, numbers: Ints, positions_A: Floats) -> tuple[Floats, bool]:
    """Positions that lie over the host's crystal, and whether they had to be inverted for it."""
    try:
        check_crystal(host, numbers, positions_A, host.cell_A)
    except DefectError as error:
        try:
            check_crystal(host, numbers, -positions_A, host.cell_A)
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


def check_atoms(host: HostCrystal, numbers: Ints, added: str | None, removed: str | None) -> None:
    """Refuse atoms (n,) that are not the host's supercell with this atom put in and this one taken out.

    Raises:
        DefectError: naming both compositions.
    """
    if _difference(host, numbers) != (added, removed):
        raise DefectError(
            "atoms",
            f"{_formula(Counter(numbers.tolist()))} in a supercell of {_formula(Counter(host.numbers.tolist()))}, "
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


def check_crystal(host: HostCrystal, numbers: Ints, positions_A: Floats, cell_A: Floats) -> None:
    """Refuse a structure of the host's composition, one point defect apart, that is another crystal.

    Args:
        host: the host.
        numbers, positions_A, cell_A: the structure, (n,), (n, 3), (3, 3), in any order, with any origin.

    Raises:
        DefectError: if the atoms are not the host's but for one point defect, or too many are far from
            the host's sites.
    """
    added, removed = _difference(host, numbers)
    perfect = added is None and removed is None
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
        mine = [atom for atom in order if numbers[atom] == number and atom != extra]
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


def _difference(host: HostCrystal, numbers: Ints) -> tuple[str | None, str | None]:
    """Symbols of the atom that was added and of the one that was removed."""
    mine, theirs = Counter(numbers.tolist()), Counter(host.numbers.tolist())
    more, fewer = list((mine - theirs).elements()), list((theirs - mine).elements())
    if len(more) > 1 or len(fewer) > 1:
        raise DefectError(
            "atoms",
            f"{_formula(mine)}, the perfect supercell is {_formula(theirs)}",
            "One vacancy, substitution or interstitial of the study's host is expected",
        )
    return (
        chemical_symbols[more[0]] if more else None,
        chemical_symbols[fewer[0]] if fewer else None,
    )


def _formula(counts: Counter[int]) -> str:
    return "".join(f"{chemical_symbols[number]}{counts[number]}" for number in sorted(counts))


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


def _assign(host: HostCrystal, numbers: Ints, positions_A: Floats) -> tuple[Ints, int | None, int | None]:
    """Atoms in the host's order, the host atom that has none, and the atom that has no host atom."""
    gaps = _distances_A(positions_A, host.positions_A, host.cell_A) ** 2
    taken: dict[int, int] = {}
    extra: int | None = None
    for number in dict.fromkeys([*host.numbers.tolist(), *numbers.tolist()]):
        mine, theirs = np.flatnonzero(numbers == number), np.flatnonzero(host.numbers == number)
        rows, columns = linear_sum_assignment(gaps[np.ix_(mine, theirs)])
        taken |= {int(theirs[c]): int(mine[r]) for r, c in zip(rows, columns, strict=True)}
        left = set(mine.tolist()) - {int(mine[r]) for r in rows}
        extra = left.pop() if left else extra
    order = [taken[site] for site in range(len(host.numbers)) if site in taken]
    vacant = next((site for site in range(len(host.numbers)) if site not in taken), None)
    if extra is not None:
        same = [place for place, atom in enumerate(order) if numbers[atom] == numbers[extra]]
        order.insert(same[-1] + 1 if same else len(order), extra)
    return np.array(order), vacant, extra
