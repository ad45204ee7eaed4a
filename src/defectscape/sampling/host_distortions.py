"""Distortions of the perfect supercell, as the defects get them: what a stable crystal comes back from."""

import logging
from collections.abc import Iterator
from itertools import count, islice

import numpy as np
from ase.data import chemical_symbols

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.seeds import derive_rng, derive_seed
from defectscape.domain.site import HostCrystal
from defectscape.sampling.host import host_frame
from defectscape.sampling.lengths import closest_allowed_A, sampling_lengths
from defectscape.sampling.pool import rattled
from defectscape.sampling.starts import Rattle, distorted
from defectscape.settings.sampling import SamplingSettings

log = logging.getLogger(__name__)

NEIGHBOURS = 2
"""Bonds that are distorted around an atom: what ShakeNBreak does for two electrons missing. All of them, its choice
for none, would only breathe."""
HOST_TEST = "host test"
"""What the seeds are derived with."""


def host_distortions(
    host: HostCrystal, sampling: SamplingSettings, starts: int, seed: int, ferromagnet: int | None = None
) -> tuple[Frame, ...]:
    """Distortions of the perfect supercell with the amplitudes of the defects' starts, none with atoms too close.

    In turn a rattle of all atoms by the largest of ``rattle_amplitudes``, and two bonds of an atom of each element
    distorted, all other atoms rattled as every start is: shortened in the first turn, longer in the second, as far as
    the study's bond distortions go without atoms that are too close, since the atom itself stays.

    Args:
        host: the crystal.
        sampling: amplitudes and shortest distance.
        starts: how many.
        seed: the study's.
        ferromagnet: multiplicity of the supercell, if its moments are parallel.
    """
    perfect = host_frame(host, ferromagnet)
    turns = (start for turn in count() for start in _turn(host, perfect, sampling, turn, seed))
    # A crystal in which each of them brings atoms too close has none.
    wanted = islice(turns, starts + 2 * (1 + len(np.unique(host.numbers))))
    found = [start for start in wanted if start is not None]
    return tuple({start.frame_id: start for start in found}.values())[:starts]


def _turn(
    host: HostCrystal, perfect: Frame, sampling: SamplingSettings, turn: int, seed: int
) -> Iterator[Frame | None]:
    lengths = sampling_lengths(sampling, host)
    amplitude_A = max(lengths.rattle_amplitudes_A)
    rng = derive_rng(seed, HOST_TEST, "rattle", turn, amplitude_A)
    positions = rattled(perfect, perfect.positions_A, amplitude_A, sampling.shortest_distance_A, rng)
    note = f"rattle by {amplitude_A:g} A"
    yield None if positions is None else perfect.moved(positions, origin=Origin.RATTLE, note=note)
    sign = -1 if turn % 2 == 0 else 1
    sizes = sorted((size for size in sampling.bond_distortions if size * sign > 0), key=abs, reverse=True)
    for atom in np.unique(host.numbers, return_index=True)[1]:
        yield _local(perfect, int(atom), sizes, lengths.start_rattle_A, sampling.shortest_distance_A, (seed, turn))


def _local(
    perfect: Frame, atom: int, sizes: list[float], rattle_A: float, limit_A: float | None, seeds: tuple[int, int]
) -> Frame | None:
    """Bonds of one atom distorted by the first of some sizes that brings no atoms too close, the others rattled."""
    symbol = chemical_symbols[perfect.numbers[atom]]
    floor_A = float(closest_allowed_A(perfect.numbers, limit_A).min())
    for size in sizes:
        own_seed = derive_seed(seeds[0], HOST_TEST, symbol, size, seeds[1], rattle_A)
        rattle: Rattle = {"stdev": rattle_A, "d_min": floor_A, "seed": own_seed}
        positions = distorted(perfect, {"site_index": atom}, 1.0 + size, NEIGHBOURS, rattle, limit_A)
        if positions is not None:
            return perfect.moved(positions, origin=Origin.START, note=f"two bonds of {symbol} by {100 * size:+g}%")
    log.warning("no bond distortion of %s in the perfect crystal: atoms too close", symbol)
    return None
