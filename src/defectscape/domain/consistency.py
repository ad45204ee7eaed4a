"""Labels that contradict their neighbours: an energy that jumps where the forces say it cannot.

Between two near geometries the energy changes by minus the mean of both forces along the way, up to
third order in the step. A calculation that ended in another electronic state breaks that with the
frames around it, while two of them agree with each other.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.geometry import find_mic

from defectscape.domain.frame import Floats
from defectscape.domain.label import LabelledFrame

NEIGHBOURS = 3
"""Nearest frames that each is compared with; two of them must disagree."""

ANHARMONIC = 0.15
"""Share of the change of force along the step that third and higher orders may amount to."""

NEAR_A = 0.35
"""Frames in which an atom differs by more than this say nothing about each other: between two minima
all forces vanish, and the energies may differ by eV."""


@dataclass(frozen=True)
class Jump:
    """A label whose energy does not follow from its neighbours' energies and forces.

    Attributes:
        frame_id: the frame.
        key: defect key.
        residual_eV: median of the unexplained differences to its neighbours, eV.
    """

    frame_id: str
    key: str
    residual_eV: float


def find_energy_jumps(labelled: Sequence[LabelledFrame], limit_eV: float) -> tuple[Jump, ...]:
    """Labels of one fidelity that most of their nearest neighbours contradict.

    Compared are frames of one defect, charge and multiplicity with the same atoms and cell.

    Args:
        labelled: frames with labels.
        limit_eV: unexplained energy that is still allowed, eV, beside the anharmonic share.
    """
    groups: dict[tuple[object, ...], list[LabelledFrame]] = defaultdict(list)
    for item in labelled:
        frame = item.frame
        cell = np.round(frame.cell_A, 4).tobytes()
        groups[str(frame.key), frame.multiplicity, frame.numbers.tobytes(), cell].append(item)
    return tuple(jump for group in groups.values() for jump in _jumps(group, limit_eV))


def _jumps(group: Sequence[LabelledFrame], limit_eV: float) -> list[Jump]:
    if len(group) <= 2:
        return []
    positions = np.array([item.frame.positions_A for item in group])
    forces = np.array([item.label.forces_eV_A for item in group])
    energies = np.array([item.label.energy_eV for item in group])
    cell = group[0].frame.cell_A
    found = []
    for index, item in enumerate(group):
        steps = _steps_A(positions, positions[index], cell)
        distances = np.linalg.norm(steps, axis=(1, 2))
        distances[index] = np.inf
        reach = np.linalg.norm(steps, axis=2).max(axis=1)
        near = [n for n in np.argsort(distances) if reach[n] < NEAR_A and n != index][:NEIGHBOURS]
        residuals, contradictions = [], 0
        for other in near:
            work = -0.5 * float(np.sum((forces[index] + forces[other]) * steps[other]))
            bend = abs(float(np.sum((forces[other] - forces[index]) * steps[other])))
            residual = float(energies[index] + work - energies[other])
            residuals.append(residual)
            contradictions += abs(residual) > limit_eV + ANHARMONIC * bend
        if contradictions >= 2 and 2 * contradictions > len(near):
            found.append(Jump(item.frame.frame_id, str(item.frame.key), float(np.median(residuals))))
    return found


def _steps_A(ends: Floats, start: Floats, cell_A: Floats) -> Floats:
    """Shortest displacements (k, n, 3) from one geometry (n, 3) to others (k, n, 3), A."""
    count, atoms = ends.shape[:2]
    vectors, _ = find_mic((ends - start).reshape(-1, 3), cell_A, pbc=True)
    return np.asarray(vectors, dtype=np.float64).reshape(count, atoms, 3)
