"""The straight path between the ground states of two charge states of one defect.

Two ground states were found separately, so the same atoms may be numbered differently, the whole
cell may have drifted, and a symmetry operation of the host may lie between them. The shortest of
the equivalent paths is the one that counts.
"""

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_masses
from ase.geometry import find_mic

from defectscape.domain.cell import same_cell
from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.files.quiet import quiet
from defectscape.files.structures import to_structure

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
    """

    initial_key: DefectKey
    final_key: DefectKey
    dQ_amu05_A: float
    fractions: Floats
    Q_amu05_A: Floats
    frames_initial: tuple[Frame, ...]
    frames_final: tuple[Frame, ...]


def path_fractions(points: int, extend: float) -> Floats:
    """Evenly spaced fractions from -extend to 1 + extend, (points,).

    The two points nearest to the ground states are moved onto them, to exactly 0 and 1.
    """
    fractions = np.linspace(-extend, 1 + extend, points)
    start = min(int(np.argmin(np.abs(fractions))), points // 2 - 1)
    fractions[start], fractions[points - 1 - start] = 0.0, 1.0
    return fractions


def check_order(fractions: Floats, own: int, other: int) -> list[int]:
    """All points of a curve in the order in which an engine should check them.

    Its own ground state, the other one, then always the point farthest from those before.

    Args:
        fractions: positions of the points, (n,).
        own, other: the two ground states' points.
    """
    order = [own, other]
    while len(order) < len(fractions):
        distances = np.abs(fractions[:, None] - fractions[order]).min(axis=1)
        order.append(int(np.argmax(distances)))
    return order


def configuration_path(initial: Frame, final: Frame, *, points: int, extend: float) -> ConfigurationPath:
    """The shortest straight path from ``initial`` to ``final``, in both charge states.

    Args:
        initial, final: ground states of adjacent charges of one defect, in one supercell.
        points: number of points, at least 3.
        extend: how far the path runs beyond either end, as a fraction of its length.

    Raises:
        ThermoError: if the two are not adjacent charge states of one defect in one cell, cannot
            be matched, or have the same geometry.

    Source: the generalised coordinate is that of A. Alkauskas et al., Phys. Rev. B 90, 075202
    (2014), eq. 4.
    """
    _check_ends(initial, final)
    steps_A = shortest_displacements(initial, final)
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
                initial.numbers,
                geometry,
                initial.cell_A,
                final.key,
                final.multiplicity,
                Origin.RELAXATION,
                final.family,
                final.frame_id,
                note,
            )
            for geometry, note in zip(geometries, notes, strict=True)
        ),
    )


def shortest_displacements(initial: Frame, final: Frame) -> Floats:
    """Displacements (n, 3), A, of the atoms of ``initial`` to an equivalent image of ``final``.

    doped orients and renumbers ``final``; the motion of the centre of mass, which costs no energy,
    is taken off what is left.

    Raises:
        ThermoError: if the two structures cannot be matched.
    """
    start = to_structure(initial.numbers, initial.positions_A, initial.cell_A)
    end = to_structure(final.numbers, final.positions_A, final.cell_A)
    with quiet("doped"):
        from doped.utils.configurations import orient_s2_like_s1

        try:
            image = orient_s2_like_s1(start, end)
        except RuntimeError as error:
            raise ThermoError(
                f"path {initial.key} to {final.key}",
                "doped cannot match the two ground states",
                "Look at both; they may be of different defects after relaxation",
            ) from error
    if [site.specie.Z for site in image] != initial.numbers.tolist():
        raise ThermoError(
            f"path {initial.key} to {final.key}",
            "doped matched unlike atoms",
            "Install the version of doped that this package requires",
        )
    steps_A, _ = find_mic(image.cart_coords - initial.positions_A, initial.cell_A)
    masses = atomic_masses[initial.numbers]
    return steps_A - masses @ steps_A / masses.sum()


def _check_ends(initial: Frame, final: Frame) -> None:
    thing = f"path {initial.key} to {final.key}"
    if initial.key.defect != final.key.defect or abs(initial.charge - final.charge) != 1:
        raise ThermoError(thing, "not one electron apart", "Pass adjacent charges of one defect")
    if not np.array_equal(np.sort(initial.numbers), np.sort(final.numbers)):
        raise ThermoError(thing, "different atoms", "Pass frames of one defect and one supercell")
    if not same_cell(initial.cell_A, final.cell_A):
        raise ThermoError(thing, "they are in different cells", "Use one supercell for both")
