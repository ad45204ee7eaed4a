"""The straight path between the ground states of two charge states of one defect.

Two ground states were found separately, so the same atoms may be numbered differently, the whole
cell may have drifted, and a symmetry operation of the host may lie between them. The shortest of
the equivalent paths is the one that counts. Matching is done here, under the host's own operations:
a structure matcher that knows the two defective cells only may return a far longer path.
"""

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_masses
from ase.geometry import find_mic
from scipy.optimize import linear_sum_assignment

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats, Frame, Ints, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import HostCrystal

CELL_TOLERANCE_A = 1e-4
SYMPREC_A = 1e-2
SHORTEST_PATH_AMU05_A = 1e-3
"""Below this, the two geometries are one and there is no coordinate between them."""


@dataclass(frozen=True, eq=False)
class ConfigurationPath:
    """Geometries on the straight line from one ground state through another.

    Attributes:
        initial_key, final_key: the two charge states of one defect.
        dQ_amu05_A: length between the ground states, amu^(1/2) A.
        fractions: position of each point, (n,): 0 is the initial ground state, 1 the final one;
            both are always among the points.
        Q_amu05_A: the same in amu^(1/2) A, (n,).
        frames_initial: the geometries in the initial charge state, n frames.
        frames_final: the same geometries in the final charge state, n frames.
        symmetry_related: whether an operation of the host other than the identity was applied to
            the final ground state to shorten the path.
    """

    initial_key: DefectKey
    final_key: DefectKey
    dQ_amu05_A: float
    fractions: Floats
    Q_amu05_A: Floats
    frames_initial: tuple[Frame, ...]
    frames_final: tuple[Frame, ...]
    symmetry_related: bool


def path_fractions(points: int, extend: float) -> Floats:
    """Evenly spaced fractions from -extend to 1 + extend, (points,).

    The two points nearest to the ground states are moved onto them, to exactly 0 and 1.
    """
    fractions = np.linspace(-extend, 1 + extend, points)
    start = min(int(np.argmin(np.abs(fractions))), points // 2 - 1)
    fractions[start], fractions[points - 1 - start] = 0.0, 1.0
    return fractions


def configuration_path(
    initial: Frame, final: Frame, host: HostCrystal, *, points: int, extend: float
) -> ConfigurationPath:
    """The shortest straight path from ``initial`` to ``final``, in both charge states.

    Args:
        initial, final: ground states of adjacent charges of one defect, in the host's supercell.
        host: gives the symmetry operations.
        points: number of points, at least 3.
        extend: how far the path runs beyond either end, as a fraction of its length.

    Raises:
        ThermoError: if the two are not adjacent charge states of one defect in one cell, or have
            the same geometry.

    Source: the generalised coordinate is that of A. Alkauskas et al., Phys. Rev. B 90, 075202
    (2014), eq. 4.
    """
    _check_ends(initial, final, host)
    steps_A, identity = shortest_displacements(initial, final, host)
    masses = atomic_masses[initial.numbers]
    length = float(np.sqrt(np.sum(masses[:, None] * steps_A**2)))
    if length < SHORTEST_PATH_AMU05_A:
        raise ThermoError(
            f"path {initial.key} to {final.key}",
            f"dQ = {length:.1e} amu^(1/2) A",
            "Both charge states have the same geometry; there is no diagram to draw",
        )
    fractions = path_fractions(points, extend)
    geometries = [initial.positions_A + fraction * steps_A for fraction in fractions]
    notes = [f"path {initial.key} to {final.key} at {fraction:.4f}" for fraction in fractions]
    return ConfigurationPath(
        initial_key=initial.key,
        final_key=final.key,
        dQ_amu05_A=length,
        fractions=fractions,
        Q_amu05_A=fractions * length,
        frames_initial=tuple(
            initial.moved(geometry, origin=Origin.RELAXATION, note=note)
            for geometry, note in zip(geometries, notes, strict=True)
        ),
        frames_final=tuple(
            Frame(
                initial.numbers, geometry, initial.cell_A, final.key, final.multiplicity,
                Origin.RELAXATION, final.family, final.frame_id, note,
            )
            for geometry, note in zip(geometries, notes, strict=True)
        ),
        symmetry_related=not identity,
    )  # fmt: skip


def shortest_displacements(initial: Frame, final: Frame, host: HostCrystal) -> tuple[Floats, bool]:
    """Displacements (n, 3), A, of the atoms of ``initial`` to an equivalent image of ``final``.

    All operations of the host supercell are tried; for each, the drift of the whole cell is taken
    off and like atoms are assigned to one another at the least total squared distance.

    Returns:
        The displacements, their mass-weighted mean zero, and whether the identity did best.
    """
    rotations, translations = _operations(host)
    inverse = np.linalg.inv(initial.cell_A)
    here, there = initial.positions_A @ inverse, final.positions_A @ inverse
    best: Floats | None = None
    best_length, best_operation = np.inf, 0
    for index, (rotation, translation) in enumerate(zip(rotations, translations, strict=True)):
        image = there @ rotation.T + translation
        image = image - _drift(initial, here, final, image)
        order = _assignment(initial, here, final, image, best_length)
        if order is None:
            continue
        steps_A, _ = find_mic((image[order] - here) @ initial.cell_A, initial.cell_A)
        masses = atomic_masses[initial.numbers]
        steps_A = steps_A - masses @ steps_A / masses.sum()
        length = float(np.sqrt(np.sum(masses[:, None] * steps_A**2)))
        # an operation must do better than the rounding of positions to be preferred
        if length < best_length - SHORTEST_PATH_AMU05_A:
            best, best_length, best_operation = steps_A, length, index
    assert best is not None  # the identity comes first and nothing has been found before it
    return best, best_operation == 0


def _operations(host: HostCrystal) -> tuple[Ints, Floats]:
    """Rotations (m, 3, 3) and translations (m, 3) of the supercell, fractional, identity first."""
    import spglib

    fractional = host.positions_A @ np.linalg.inv(host.cell_A)
    cell = (host.cell_A.tolist(), fractional.tolist(), host.numbers.tolist())
    found = spglib.get_symmetry(cell, symprec=SYMPREC_A)
    rotations, translations = np.eye(3, dtype=int)[None], np.zeros((1, 3))
    if found is None:
        return rotations, translations
    return (
        np.concatenate([rotations, found["rotations"]]),
        np.concatenate([translations, found["translations"]]),
    )


def _pair_vectors(here: Floats, image: Floats) -> Floats:
    """Fractional vectors (m, m, 3) from each of ``here`` to each of ``image``, wrapped."""
    vectors = image[None] - here[:, None]
    return vectors - np.rint(vectors)


def _drift(initial: Frame, here: Floats, final: Frame, image: Floats) -> Floats:
    """Fractional shift (3,) of the whole cell: the mean vector from atoms to their nearest like."""
    masses = atomic_masses[initial.numbers]
    nearest = np.zeros_like(here)
    for number in np.unique(initial.numbers):
        rows = initial.numbers == number
        vectors = _pair_vectors(here[rows], image[final.numbers == number])
        squares = np.sum((vectors @ initial.cell_A) ** 2, axis=2)
        nearest[rows] = vectors[np.arange(len(vectors)), np.argmin(squares, axis=1)]
    return masses @ nearest / masses.sum()


def _assignment(
    initial: Frame, here: Floats, final: Frame, image: Floats, best_length: float
) -> Ints | None:
    """For each atom of ``initial`` the index of its like in ``image``; None if not below best."""
    squares = {}
    bound = 0.0
    for number in np.unique(initial.numbers):
        rows, columns = initial.numbers == number, final.numbers == number
        vectors = _pair_vectors(here[rows], image[columns]) @ initial.cell_A
        squares[number] = np.sum(vectors**2, axis=2)
        bound += atomic_masses[number] * float(squares[number].min(axis=1).sum())
    if bound > best_length**2:
        return None
    order = np.zeros(len(initial), dtype=np.int64)
    for number, costs in squares.items():
        rows, columns = np.flatnonzero(initial.numbers == number), final.numbers == number
        first, second = linear_sum_assignment(costs)
        order[rows[first]] = np.flatnonzero(columns)[second]
    return order


def _check_ends(initial: Frame, final: Frame, host: HostCrystal) -> None:
    thing = f"path {initial.key} to {final.key}"
    if initial.key.defect != final.key.defect or abs(initial.charge - final.charge) != 1:
        raise ThermoError(thing, "not one electron apart", "Pass adjacent charges of one defect")
    if not np.array_equal(np.sort(initial.numbers), np.sort(final.numbers)):
        raise ThermoError(thing, "different atoms", "Pass frames of one defect and one supercell")
    for frame in (initial, final):
        if not np.allclose(frame.cell_A, host.cell_A, rtol=0, atol=CELL_TOLERANCE_A):
            raise ThermoError(
                thing, f"{frame.key} is in another cell than the host", "Use one supercell"
            )
