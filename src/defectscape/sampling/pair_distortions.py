"""Distortions around both partners of a pair.

ShakeNBreak knows one centre. It is called for either partner in turn, each time with the atoms that are nearer to that
partner than to the other, so that no atom is moved twice and no partner is pushed by the other.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from defectscape.domain.frame import Floats, Frame
from defectscape.domain.site import DefectSite, PointSite
from defectscape.sampling.lengths import displacements_A
from defectscape.sampling.sites import closest_atom

SHELL = 1.2
"""Atoms within this factor of the nearest distance are the first shell."""
ON_SITE_A = 1e-3
"""An atom this close to a defect's site is the defect."""
Where = dict[str, Any]


@dataclass(frozen=True)
class Surroundings:
    """One partner and what is distorted around it.

    Attributes:
        where: how ShakeNBreak is told its site.
        neighbours: how many atoms are moved.
        atoms: those that may be moved, nearer to it than to the other partner.
    """

    where: Where
    neighbours: int
    atoms: tuple[int, ...]


def where_is(frame: Frame, point: PointSite) -> Where:
    """How ShakeNBreak is told a site: coordinates of a vacancy, the index of an added atom."""
    fracs = np.asarray(point.frac_coords)
    if point.added is None:
        return {"frac_coords": fracs}
    return {"site_index": closest_atom(frame.positions_A, frame.cell_A, fracs @ frame.cell_A)}


def surroundings(frame: Frame, site: DefectSite, neighbours: int) -> tuple[Surroundings, ...]:
    """What is distorted around each partner of a pair.

    Args:
        frame: the unperturbed pair.
        site: the pair.
        neighbours: atoms that are moved around each partner; 0 for its first shell.
    """
    away_A = np.stack([distances_to_A(frame, point) for point in site.partners])
    partners = (away_A < ON_SITE_A).any(axis=0)
    # An atom halfway belongs to the first partner; distances are rounded so that noise does not decide.
    owner = np.argmin(away_A.round(3), axis=0)
    found = []
    for index, point in enumerate(site.partners):
        atoms = np.flatnonzero((owner == index) & ~partners)
        shell = first_shell(away_A[index, atoms])
        found.append(Surroundings(where_is(frame, point), neighbours or shell, tuple(atoms.tolist())))
    return tuple(found)


def distances_to_A(frame: Frame, point: PointSite) -> Floats:
    """Distances (n,) of a frame's atoms from a defect's site, A."""
    place = np.asarray(point.frac_coords) @ frame.cell_A
    centre = np.broadcast_to(place, frame.positions_A.shape)
    return np.asarray(np.linalg.norm(displacements_A(centre, frame.positions_A, frame.cell_A), axis=1))


def first_shell(lengths_A: Floats) -> int:
    """How many of some distances from a site are its first shell."""
    return int(np.sum(lengths_A < SHELL * lengths_A.min()))


def both_distorted(structure: Any, around: tuple[Surroundings, ...], factor: float) -> tuple[Any, list[int]]:
    """A structure with the bonds of both partners distorted, and the atoms that were not.

    Args:
        structure: the unperturbed pair, a pymatgen structure.
        around: what is distorted.
        factor: distances to a partner are multiplied by it.
    """
    from shakenbreak import distortions

    kept = set(range(len(structure)))
    for part in around:
        done = distortions.distort(
            structure.copy(), part.neighbours, factor, distorted_atoms=list(part.atoms), **part.where
        )
        structure = done["distorted_structure"]
        kept -= {int(atom) for atom, _ in done["distorted_atoms"]} | {int(part.where.get("site_index", -1))}
    return structure, sorted(kept)
