"""Atoms far from a defect: where they have left their places, a gain of energy may be the crystal's."""

from dataclasses import dataclass

import numpy as np

from defectscape.domain.frame import Frame
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.sampling.lengths import displacements_A
from defectscape.search.description import distances_A
from defectscape.search.occupation import EMPTY, occupation

FAR_A = 5.0
FAR_SHARE = 0.4
"""Far: beyond both, the second a share of the distance to the nearest image, whose half any cell has."""
MOVED_A = 0.15
"""A far atom that has moved further than this has left its place: the strain around a defect moves it less."""


@dataclass(frozen=True)
class FarAtoms:
    """How the atoms far from a defect stand to the host's lattice.

    Attributes:
        radius_A: beyond which they are far, A.
        atoms: how many sites of the host are that far.
        displaced: of them, those whose atom is more than ``MOVED_A`` away, or missing.
        rms_A: root-mean-square distance of the far atoms from their sites, A; 0 if there are none.
    """

    radius_A: float
    atoms: int
    displaced: int
    rms_A: float


def far_atoms(host: HostCrystal, frame: Frame, site: DefectSite) -> FarAtoms:
    """How far atoms far from a defect are from their sites, a rigid drift removed.

    Args:
        host: the perfect supercell.
        frame: a structure of a defect in it.
        site: the defect; of a pair, atoms that are far from both partners are far.

    Raises:
        DefectError: if the frame's cell is not the host's.
    """
    radius_A = max(FAR_A, FAR_SHARE * host.min_image_distance_A)
    places_A = np.array([point.frac_coords for point in site.points]) @ host.cell_A
    far = np.flatnonzero(distances_A(host.cell_A, places_A, host.positions_A).min(axis=0) > radius_A)
    held = occupation(host, frame)
    sites = far[held.atoms[far] != EMPTY]
    moves = displacements_A(host.positions_A[sites], held.positions_A[held.atoms[sites]], host.cell_A)
    # Where half of the crystal moves one way and half the other, the drift that naming removes is one half's.
    away_A = np.linalg.norm(moves - moves.mean(axis=0), axis=1) if len(sites) else np.zeros(0)
    displaced = int(np.sum(away_A > MOVED_A)) + len(far) - len(sites)
    rms_A = float(np.sqrt(np.mean(away_A**2))) if len(sites) else 0.0
    return FarAtoms(radius_A, len(far), displaced, rms_A)
