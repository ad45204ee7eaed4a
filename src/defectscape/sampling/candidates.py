"""Starts that distorting the neighbours cannot reach: split vacancies, and atoms off their site.

* **Split vacancy**: an atom of the missing species leaves a neighbouring site and sits half way, so that
  one vacancy becomes two half-empty sites with an atom between them (as V_Ga in Ga2O3: Varley et al.,
  J. Phys.: Condens. Matter 23, 334212 (2011)).
* **Off centre**: a substitutional or interstitial atom moves towards its nearest neighbour, or away from it
  through the opposite face (as DX centres do: Chadi and Chang, Phys. Rev. Lett. 61, 873 (1988)).

A bond distortion keeps the defect where it is, and its rattle is too small for either.
"""

from collections.abc import Iterator

import numpy as np
from ase.data import atomic_numbers
from ase.geometry import find_mic

from defectscape.domain.frame import Floats, Frame
from defectscape.domain.site import DefectSite, PointSite
from defectscape.sampling.sites import closest_atom

SAME_DISTANCE_A = 0.05
"""Neighbours at one distance are taken as equivalent: the nearest of each kind is tried."""


def candidates(
    unperturbed: Frame, site: DefectSite, split_vacancies: int, off_centre_A: float | None
) -> Iterator[tuple[str, str, Floats]]:
    """Label (for families), note (for people) and positions (n, 3), A, of each, without a rattle.

    Args:
        unperturbed: the defect as it is cut out of the crystal.
        site: the defect.
        split_vacancies: how many neighbours are tried for a split vacancy.
        off_centre_A: how far an added atom starts off its site, A; None for not at all.
    """
    # Of a pair the first partner: an empty site where it has one, for vacancies come first.
    point = site.points[0]
    if point.added is None and point.removed is not None:
        yield from _split(unperturbed, point, split_vacancies)
    elif point.added is not None and off_centre_A is not None:
        yield from _off_centre(unperturbed, point, off_centre_A)


def _from(frame: Frame, point: Floats) -> tuple[Floats, Floats]:
    """Vectors (n, 3) and distances (n,) from a Cartesian point to every atom, A."""
    vectors, distances = find_mic(frame.positions_A - point, frame.cell_A, pbc=True)
    return np.asarray(vectors), np.asarray(distances)


def _split(frame: Frame, site: PointSite, count: int) -> Iterator[tuple[str, str, Floats]]:
    place = np.asarray(site.frac_coords) @ frame.cell_A
    vectors, distances = _from(frame, place)
    alike = np.flatnonzero(frame.numbers == atomic_numbers[str(site.removed)])
    tried: list[float] = []
    for atom in alike[np.argsort(distances[alike], kind="stable")]:
        if len(tried) == count:
            return
        if any(abs(distances[atom] - known) < SAME_DISTANCE_A for known in tried):
            continue
        tried.append(float(distances[atom]))
        positions = frame.positions_A.copy()
        positions[atom] -= vectors[atom] / 2
        yield (
            f"split{len(tried)}",
            f"split vacancy, {site.removed} from {distances[atom]:.1f} A",
            positions,
        )


def _off_centre(frame: Frame, site: PointSite, step_A: float) -> Iterator[tuple[str, str, Floats]]:
    fracs = np.asarray(site.frac_coords)
    atom = closest_atom(frame.positions_A, frame.cell_A, fracs @ frame.cell_A)
    vectors, distances = _from(frame, frame.positions_A[atom])
    distances[atom] = np.inf
    nearest = int(np.argmin(distances))
    direction = vectors[nearest] / distances[nearest]
    for label, sign, words in (("toward", 1, "toward"), ("away", -1, "away from")):
        positions = frame.positions_A.copy()
        positions[atom] += sign * step_A * direction
        yield f"offcentre-{label}", f"{step_A:g} A off centre, {words} a neighbour", positions
