"""The dense pool: every start, and rattled copies on and around the line from it to the unperturbed defect.

The model is trained where its relaxations will pass: near the starts, near the unperturbed geometry,
and in between.
"""

import logging
from collections.abc import Sequence

import numpy as np

from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.seeds import derive_rng
from defectscape.domain.site import HostCrystal
from defectscape.sampling.lengths import displacements_A, sampling_lengths, too_close
from defectscape.settings.sampling import SamplingSettings

log = logging.getLogger(__name__)

ATTEMPTS = 20
"""Rattles drawn for one frame before it is dropped for a short contact."""


def make_pool(
    starts: Sequence[Frame], unperturbed: Frame, sampling: SamplingSettings, host: HostCrystal, seed: int
) -> tuple[Frame, ...]:
    """The starts, then one rattled frame per start, fraction of the way and amplitude.

    Displacements are Gaussian in every Cartesian direction; the generator of each frame is derived
    from its start's geometry, fraction and amplitude, so no frame depends on another.

    Args:
        starts: starts of one defect and charge.
        unperturbed: the unperturbed defect, with the starts' atoms and cell.
        sampling: amplitudes, fractions (0 is always among them) and shortest distance.
        host: the crystal whose bond length amplitudes may be fractions of.
        seed: the study's seed.

    Returns:
        Distinct frames; rattles inherit the family of their start.
    """
    pool = {start.frame_id: start for start in starts}
    amplitudes_A = sampling_lengths(sampling, host).rattle_amplitudes_A
    fractions = dict.fromkeys((0.0, *sampling.relaxed_toward))
    for start in list(pool.values()):
        way = displacements_A(start.positions_A, unperturbed.positions_A, start.cell_A)
        for fraction in fractions:
            for amplitude in amplitudes_A:
                rng = derive_rng(seed, "pool", start.frame_id, fraction, amplitude)
                middle = start.positions_A + fraction * way
                positions = rattled(start, middle, amplitude, sampling.shortest_distance_A, rng)
                note = _note(start, fraction, amplitude)
                if positions is None:
                    log.warning("%s: %s dropped: atoms too close", start.key, note)
                    continue
                frame = start.moved(positions, origin=Origin.RATTLE, note=note)
                pool.setdefault(frame.frame_id, frame)
    return tuple(pool.values())


def _note(start: Frame, fraction: float, amplitude_A: float) -> str:
    way = f", {100 * fraction:g}% toward unperturbed" if fraction else ""
    return f"{start.note}{way}, rattled {amplitude_A:g} A"


def rattled(
    start: Frame,
    positions_A: Floats,
    amplitude_A: float,
    limit_A: float | None,
    rng: np.random.Generator,
) -> Floats | None:
    """Rattled positions (n, 3) of the start's atoms without a contact that is too short, or None."""
    for _ in range(ATTEMPTS):
        moved = positions_A + rng.normal(0.0, amplitude_A, positions_A.shape)
        if not too_close(start.numbers, moved, start.cell_A, limit_A):
            return moved
    return None
