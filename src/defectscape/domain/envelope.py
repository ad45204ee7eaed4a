"""Lines of formation energy against the Fermi level: where two cross, and which of them are lowest somewhere."""

from collections.abc import Sequence
from typing import Protocol, TypeVar


class ChargeState(Protocol):
    """A formation energy that grows by ``charge`` eV for each eV that the Fermi level rises."""

    @property
    def charge(self) -> int:
        """Total charge, units of e."""
        ...

    @property
    def energy_eV(self) -> float:
        """Formation energy with the Fermi level at the VBM, eV."""
        ...


Line = TypeVar("Line", bound=ChargeState)


def crossing_eV(upper: ChargeState, lower: ChargeState) -> float:
    """Fermi level above the VBM at which two charge states have the same formation energy, eV.

    (E_f(q1) - E_f(q2)) / (q2 - q1), with both energies at E_F = VBM.
    Source: C. Freysoldt et al., Rev. Mod. Phys. 86, 253 (2014), eq. 5.
    """
    return (upper.energy_eV - lower.energy_eV) / (lower.charge - upper.charge)


def lowest_lines(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines of one defect that are lowest at some Fermi level, from the highest charge down.

    Args:
        lines: one per charge, in any order.

    Source: the lower convex hull of (charge, energy), by A. M. Andrew's monotone chain,
    Inf. Process. Lett. 9, 216 (1979).
    """
    hull: list[Line] = []
    for line in sorted(lines, key=lambda line: -line.charge):
        while len(hull) > 1 and crossing_eV(hull[-1], line) <= crossing_eV(hull[-2], hull[-1]):
            hull.pop()
        hull.append(line)
    return tuple(hull)
