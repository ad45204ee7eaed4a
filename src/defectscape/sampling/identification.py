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

from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Floats, Ints
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.sampling.orbits import crystal_symmetry, nearest_image_A

CELL_TOLERANCE_A = 0.02
"""Lattice vectors of one study agree within this."""
CAP_A = 1.5
"""Distances in the assignment are capped here: an atom this far from its site is on none."""
REFERENCES = 4
"""Host atoms from which the shift between the two origins is guessed; a vacancy may be one of them."""
FAR_A = 1.5
"""A defect further than this from all known sites is at none of them."""


@dataclass(frozen=True, eq=False)
class Identified:
    """What a structure is.

    Attributes:
        site: the defect's site, or None for the perfect host.
        order: indices (n,) of the structure's atoms in the host's order, an added atom last among
            those of its element.
        distance_A: distance of the defect from the site it was taken for, A; 0 for the host.
    """

    site: DefectSite | None
    order: Ints
    distance_A: float


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
    worst = float(np.max(np.abs(cell_A - host.cell_A)))
    if worst > CELL_TOLERANCE_A:
        raise DefectError(
            "supercell",
            f"its lattice vectors differ from the study's by up to {worst:.3f} A",
            "Take the host and the supercell matrix of these calculations for the study",
        )
    shift = _shift_A(host, numbers, positions_A)
    order, vacant, extra = _assign(host, numbers, positions_A - shift)
    if added is None and removed is None:
        return Identified(None, order, 0.0)
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
        raise DefectError(
            "defect",
            f"{name} at no site that the host is known to have",
            "Name its site with --defect if you know it",
        )
    distance, _, site = min(found)
    return Identified(site, order, distance)


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


def _shift_A(host: HostCrystal, numbers: Ints, positions_A: Floats) -> Floats:
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
