"""Ground states at another spin multiplicity: what the engine said of them, written and read."""

from dataclasses import dataclass

from defectscape.domain.keys import DefectKey
from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
from defectscape.study.context import StudyContext

LOWER_EV = 1e-3
"""Another multiplicity is lower, or higher, by more than this; SCF convergence leaves as much."""
BLIND_EV = 1e-6
"""Two multiplicities of a structure that are closer have the same energy: the engine did not look at the spin."""


@dataclass(frozen=True)
class SpinCheck:
    """A ground state at two multiplicities, at one geometry.

    Attributes:
        key: whose.
        frame_id: the ground state's structure, at its own multiplicity.
        multiplicity, other: 2S + 1, its own and the one that was tried.
        reason: why the other is plausible, in words.
        energy_eV: at its own multiplicity, eV.
        other_eV: at the other, eV; None if the calculation failed.
        failure: why it failed; empty otherwise.
        core_s: what the other took whenever it was computed, core-seconds.
    """

    key: DefectKey
    frame_id: str
    multiplicity: int
    other: int
    reason: str
    energy_eV: float
    other_eV: float | None
    failure: str
    core_s: float

    @property
    def difference_eV(self) -> float | None:
        """The other's energy above the ground state's own, eV: negative where the other is lower."""
        return None if self.other_eV is None else self.other_eV - self.energy_eV

    @property
    def lower(self) -> bool:
        """Whether the other multiplicity is lower."""
        return self.difference_eV is not None and self.difference_eV < -LOWER_EV

    @property
    def blind(self) -> bool:
        """Whether the engine gave both the same energy."""
        return self.difference_eV is not None and abs(self.difference_eV) < BLIND_EV


def read_spin_check(context: StudyContext, group: str, key: DefectKey) -> SpinCheck | None:
    """What was found of one charge state; None where there was nothing to check."""
    found: SpinCheck | None = decode(SpinCheck | None, read_json(context.layout.group(group).spin_check(key)))
    return found


def read_spin_checks(context: StudyContext) -> tuple[SpinCheck, ...]:
    """Those of all charge states, in the study's order; none where the study does not ask for them."""
    if not context.study.checks_spin:
        return ()
    found = (read_spin_check(context, group.name, key) for group, key in context.keys)
    return tuple(check for check in found if check is not None)


def write_spin_check(context: StudyContext, group: str, key: DefectKey, found: SpinCheck | None) -> None:
    """Write it; None where there was nothing to check."""
    write_json(context.layout.group(group).spin_check(key), found)
