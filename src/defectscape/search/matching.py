"""RMSD of two structures of one defect, independent of symmetry, order of the atoms and drift.

Two structures are compared under every symmetry operation of the host's supercell: the atoms are
assigned to each other species by species (Hungarian method on squared minimum-image distances), a
rigid shift is removed, and both are repeated until the assignment no longer changes. The smallest RMSD
counts. Unlike tolerance-based matchers this always gives a number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from defectscape.domain.cell import same_cell
from defectscape.domain.errors import SearchError
from defectscape.domain.frame import Floats, Frame, Ints
from defectscape.domain.site import HostCrystal
from defectscape.search.symmetry import symmetry_dataset

SYMMETRY_A = 0.01
"""Tolerance of the host's symmetry operations, and of a site that they keep, A."""
_MAX_ALIGNMENTS = 20
_REFINED = 24
"""Operations whose alignment is refined: those with the lowest RMSD after one assignment."""


@dataclass(frozen=True, eq=False)
class Operations:
    """Symmetry operations of the host's supercell, x' = R x + t in fractional coordinates.

    Attributes:
        rotations: shape (m, 3, 3), integers.
        translations: shape (m, 3).
        cell_A: the supercell they belong to, shape (3, 3), A.
    """

    rotations: Ints
    translations: Floats
    cell_A: Floats

    def __len__(self) -> int:
        return len(self.rotations)


class Match(NamedTuple):
    """The distance of two structures.

    Attributes:
        rmsd_A: root-mean-square displacement over all atoms, A.
        max_displacement_A: largest displacement of an atom in that same alignment, A.
    """

    rmsd_A: float
    max_displacement_A: float


def host_operations(host: HostCrystal, frac_coords: tuple[float, float, float] | None) -> Operations:
    """Symmetry operations of the perfect supercell.

    Args:
        frac_coords: the defect's site in the supercell: only operations that keep it (modulo
            lattice vectors) are returned, few and enough for minima that did not leave their site.
            None: all operations, with the translations by unit cells.

    Raises:
        SearchError: if spglib finds no symmetry.
    """
    fractional = host.positions_A @ np.linalg.inv(host.cell_A)
    dataset = symmetry_dataset(host.cell_A, fractional, host.numbers, SYMMETRY_A)
    if dataset is None:
        raise SearchError(
            "host symmetry",
            f"spglib finds none at {SYMMETRY_A} A",
            "Check the host for overlapping atoms",
        )
    rotations = np.array(dataset.rotations, dtype=np.int64)
    translations = np.array(dataset.translations, dtype=np.float64)
    if frac_coords is not None:
        site = np.array(frac_coords)
        moved = rotations @ site + translations - site
        distance_A = np.linalg.norm((moved - np.rint(moved)) @ host.cell_A, axis=1)
        keep = distance_A < SYMMETRY_A
        rotations, translations = rotations[keep], translations[keep]
    return Operations(rotations, translations, np.array(host.cell_A))


def identity(cell_A: Floats) -> Operations:
    """The identity alone: compares two structures without symmetry; drift is still removed."""
    return Operations(np.eye(3, dtype=np.int64)[None], np.zeros((1, 3)), np.array(cell_A))


def match(a: Frame, b: Frame, operations: Operations) -> Match:
    """Smallest distance of two structures under the host's symmetry.

    Symmetric in ``a`` and ``b``; zero for symmetry copies, permuted copies and rigidly drifted
    copies. Drift is found as long as it is smaller than half the distance between atoms of one
    species; any drift is found if ``operations`` holds the translations by unit cells.

    Raises:
        SearchError: if the two have other atoms or another cell, or the operations do.
    """
    _check(a, b, operations)
    first, second = sorted((a, b), key=lambda frame: frame.geometry_hash)
    aligner = _Aligner(first, second)
    trials = [(*aligner.assigned(moved), number) for number, moved in enumerate(aligner.moved(operations))]
    trials.sort(key=lambda trial: (trial[0], trial[2]))
    best = min(
        (aligner.refined(shifted) for _, shifted, _ in trials[:_REFINED]),
        key=lambda displacements: float(np.sum(displacements**2)),
    )
    rmsd = float(np.sqrt(np.sum(best**2) / len(a)))
    return Match(rmsd, float(np.max(np.linalg.norm(best, axis=1))))


def rmsd_A(a: Frame, b: Frame, operations: Operations) -> float:
    """The RMSD of ``match``, A."""
    return match(a, b, operations).rmsd_A


def displacements_A(reference: Frame, frame: Frame) -> Floats:
    """Displacement of each atom of ``reference`` to its partner in ``frame``, drift removed.

    No symmetry operation is applied. Shape (n, 3), A, in the order of ``reference``.
    """
    _check(reference, frame, identity(reference.cell_A))
    aligner = _Aligner(reference, frame)
    (moved,) = aligner.moved(identity(reference.cell_A))
    return aligner.refined(moved)


class _Aligner:
    """Aligns one frame, after a symmetry operation, with another one."""

    def __init__(self, a: Frame, b: Frame) -> None:
        self.cell_A = a.cell_A
        self.inverse = np.linalg.inv(a.cell_A)
        self.a_frac = a.positions_A @ self.inverse
        self.b_frac = b.positions_A @ self.inverse
        self.species = [
            (np.flatnonzero(a.numbers == number), np.flatnonzero(b.numbers == number))
            for number in np.unique(a.numbers)
        ]

    def moved(self, operations: Operations) -> Iterator[Floats]:
        """Fractional coordinates (n, 3) of the first frame after each operation."""
        for rotation, translation in zip(operations.rotations, operations.translations, strict=True):
            yield self.a_frac @ rotation.T + translation

    def assigned(self, moved: Floats) -> tuple[float, Floats]:
        """Sum of squares, A^2, after one assignment and one shift, and the shifted coordinates."""
        displacements, _ = self._assignment(moved)
        shift = displacements.mean(axis=0)
        square = float(np.sum((displacements - shift) ** 2))
        return square, moved + shift @ self.inverse

    def refined(self, moved: Floats) -> Floats:
        """Displacements (n, 3) to the second frame, A, in the first's order, drift removed."""
        before: Ints | None = None
        for _ in range(_MAX_ALIGNMENTS):
            displacements, partners = self._assignment(moved)
            shift = displacements.mean(axis=0)
            if before is not None and np.array_equal(partners, before):
                break
            before = partners
            moved = moved + shift @ self.inverse
        return displacements - shift

    def _assignment(self, moved: Floats) -> tuple[Floats, Ints]:
        displacements = np.empty_like(moved)
        partners = np.empty(len(moved), dtype=np.int64)
        for rows, columns in self.species:
            vectors = self.b_frac[columns][None] - moved[rows][:, None]
            vectors = (vectors - np.rint(vectors)) @ self.cell_A
            _, chosen = linear_sum_assignment(np.einsum("ijk,ijk->ij", vectors, vectors))
            displacements[rows] = vectors[np.arange(len(rows)), chosen]
            partners[rows] = columns[chosen]
        return displacements, partners


def _check(a: Frame, b: Frame, operations: Operations) -> None:
    if not np.array_equal(np.sort(a.numbers), np.sort(b.numbers)):
        raise SearchError("frames to match", f"{a.key} and {b.key} have other atoms", "Compare within one defect")
    for cell_A in (b.cell_A, operations.cell_A):
        if not same_cell(a.cell_A, cell_A):
            raise SearchError(
                "frames to match",
                "their cells differ",
                "Use frames and operations of one supercell",
            )
