"""How well another search finds what is known: reference minima recovered by relaxations of the starts.

A structure counts as identified below 0.1 A from its reference (arXiv:2603.05238).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from defectscape.domain.errors import SearchError
from defectscape.domain.frame import Frame
from defectscape.domain.minimum import Relaxation
from defectscape.search.matching import Operations, rmsd_A
from defectscape.search.merging import merge
from defectscape.settings.search import MinimaSettings

IDENTIFIED_A = 0.1


@dataclass(frozen=True)
class Recovery:
    """What relaxations of one defect and charge found of the reference minima.

    Attributes:
        key: defect key.
        starts, converged: relaxations tried and converged.
        failures: reasons of the others, with their numbers.
        distinct_minima: distinct minima among the converged ones.
        rmsd_A: of the lowest minimum found to the reference ground state; None if none converged.
        finds_ground_state: whether that is below ``IDENTIFIED_A``.
        starts_at_ground_state: relaxations that end within ``IDENTIFIED_A`` of it.
        nearest_A: for every reference minimum, lowest first, the RMSD of the nearest minimum found.
    """

    key: str
    starts: int
    converged: int
    failures: tuple[tuple[str, int], ...]
    distinct_minima: int
    rmsd_A: float | None
    finds_ground_state: bool
    starts_at_ground_state: int
    nearest_A: tuple[float | None, ...]


def recover(
    relaxations: Sequence[Relaxation], reference: Sequence[Frame], operations: Operations, settings: MinimaSettings
) -> Recovery:
    """Compare relaxations of one key with its reference minima.

    Args:
        relaxations: of the same starts, on whatever surface.
        reference: minima of the same key, the ground state first.
        operations: symmetry operations of the host to compare under.
        settings: when two minima are one.

    Raises:
        SearchError: if there is no reference or no relaxation, or the keys differ.
    """
    if not reference or not relaxations:
        raise SearchError("relaxations and reference minima", "none", "Give both")
    keys = sorted({str(r.start.key) for r in relaxations} | {str(f.key) for f in reference})
    if len(keys) > 1:
        raise SearchError("keys", ", ".join(keys), "Compare one defect and charge at a time")
    minima = merge(tuple(relaxations), operations, settings)
    ends = [r.final for r in relaxations if r.converged]
    ground = reference[0]
    lowest = rmsd_A(minima[0].frame, ground, operations) if minima else None
    near = sum(rmsd_A(end, ground, operations) < IDENTIFIED_A for end in ends)
    nearest = tuple(min((rmsd_A(m.frame, known, operations) for m in minima), default=None) for known in reference)
    failures = Counter(r.reason for r in relaxations if not r.converged)
    return Recovery(
        keys[0],
        len(relaxations),
        len(ends),
        tuple(sorted(failures.items())),
        len(minima),
        lowest,
        lowest is not None and lowest < IDENTIFIED_A,
        near,
        nearest,
    )
