"""Band edges from the eigenvalues of an engine."""

from collections.abc import Sequence

import numpy as np

from defectscape.domain.frame import Floats


def band_edges_eV(
    levels_eV: Sequence[Sequence[Floats]], electrons: int, multiplicity: int
) -> tuple[float | None, float | None]:
    """Highest filled and lowest empty level over all k-points and spins, eV.

    The count of electrons decides, not the smeared occupations.

    Args:
        levels_eV: for each spin channel (one or two), for each k-point, the levels, in any order.
        electrons: valence electrons of the cell.
        multiplicity: 2S + 1; 0 for no moment.

    Returns:
        The two edges; None where a channel has no filled, or no empty, level.
    """
    unpaired = max(multiplicity - 1, 0)
    filled = [(electrons + unpaired) // 2, (electrons - unpaired) // 2]
    below, above = [], []
    for channel, count in zip(levels_eV, filled, strict=False):
        for levels in channel:
            ordered = np.sort(levels)
            below += [float(ordered[count - 1])] if count else []
            above += [float(ordered[count])] if count < len(ordered) else []
    return max(below, default=None), min(above, default=None)
