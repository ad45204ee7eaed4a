"""Lengths of a crystal's starts and rattles: as they are given, or as fractions of its bond length."""

from dataclasses import dataclass

from defectscape.domain.site import HostCrystal
from defectscape.sampling.contacts import shortest_distance_A
from defectscape.settings.sampling import SamplingSettings

DIGITS = 4
"""Lengths are rounded to so many digits of A: seeds and notes are made of them."""


@dataclass(frozen=True)
class Lengths:
    """Lengths of sampling in one crystal.

    Attributes:
        start_rattle_A: standard deviation of the rattle of every start, A.
        rattle_amplitudes_A: those of the dense rattles, A.
        off_centre_A: how far an added atom starts off its site, A; None where that is not tried.
    """

    start_rattle_A: float
    rattle_amplitudes_A: tuple[float, ...]
    off_centre_A: float | None


def bond_length_A(host: HostCrystal) -> float:
    """The shortest distance between two atoms of the perfect crystal, A."""
    return shortest_distance_A(host.positions_A, host.cell_A)


def sampling_lengths(sampling: SamplingSettings, host: HostCrystal) -> Lengths:
    """The lengths that a study's sampling means in its host: those in A where given, else fractions of its bond."""
    bond_A = bond_length_A(host)

    def length_A(given_A: float | None, fraction: float) -> float:
        return round(fraction * bond_A, DIGITS) if given_A is None else given_A

    off_centre_A = sampling.off_centre_A
    if off_centre_A is None and sampling.off_centre is not None:
        off_centre_A = length_A(None, sampling.off_centre)
    amplitudes_A = sampling.rattle_amplitudes_A or [length_A(None, share) for share in sampling.rattle_amplitudes]
    return Lengths(length_A(sampling.start_rattle_A, sampling.start_rattle), tuple(amplitudes_A), off_centre_A)
