"""Outcomes of the search: single relaxations, merged minima, verified minima, and how many starts it took."""

import math
from dataclasses import dataclass

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label

CONVERGED = "converged"
"""Reason of a relaxation that reached its convergence where the committee agrees."""
PLAIN = "unperturbed, relaxed with the engine"
"""Note of the minimum that the plain relaxation led to: the unperturbed start relaxed with the engine."""


@dataclass(frozen=True, eq=False)
class Relaxation:
    """One relaxation of one start on the model's surface; failures are results too.

    Attributes:
        start: the frame it began from.
        final: the last frame; equal to the start's geometry if nothing could be done.
        path: frames along the way (first and last not included), thinned.
        energy_eV: committee mean at the final frame, eV.
        member_energies_eV: one energy per committee member at the final frame, eV.
        fmax_eV_A: largest force of the mean at the final frame, eV/A.
        force_std_eV_A: largest per-atom committee standard deviation of the force there, eV/A.
        steps: relaxation steps taken.
        converged: whether ``fmax`` was reached.
        reason: why it stopped: ``converged``, also with a committee that disagrees there, ``step limit``,
            or what was wrong.
    """

    start: Frame
    final: Frame
    path: tuple[Frame, ...]
    energy_eV: float
    member_energies_eV: tuple[float, ...]
    fmax_eV_A: float
    force_std_eV_A: float
    steps: int
    converged: bool
    reason: str

    @property
    def trusted(self) -> bool:
        """Whether it converged, and the committee agrees on the forces there."""
        return self.reason == CONVERGED


@dataclass(frozen=True, eq=False)
class Minimum:
    """A distinct minimum of one defect and charge: one or more relaxations that agree.

    Attributes:
        rank: 0 for the lowest.
        frame: the representative structure.
        energy_eV, member_energies_eV, fmax_eV_A, force_std_eV_A: as in ``Relaxation``.
        found_from: notes of the starts that led here.
        from_unperturbed: whether the unperturbed start is among those that led here.
        doubtful: whether the committee disagrees on the forces there. It may be the ground state or an
            artefact of the model; only the engine can tell.
    """

    rank: int
    frame: Frame
    energy_eV: float
    member_energies_eV: tuple[float, ...]
    fmax_eV_A: float
    force_std_eV_A: float
    found_from: tuple[str, ...]
    from_unperturbed: bool
    doubtful: bool = False


@dataclass(frozen=True, eq=False)
class VerifiedMinimum:
    """A minimum with the high-fidelity engine's labels of it.

    Attributes:
        minimum: the model's minimum.
        label: the engine's label at the model's geometry, or None if the calculation failed.
        frame: the geometry after the engine's own short relaxation; the model's if there was none.
        final_label: the engine's label at ``frame``, or None.
        relax_steps: engine relaxation steps taken after the first label.
    """

    minimum: Minimum
    label: Label | None
    frame: Frame
    final_label: Label | None
    relax_steps: int

    @property
    def final_energy_eV(self) -> float:
        """The engine's energy after its relaxation, eV; infinite where it has none."""
        return math.inf if self.final_label is None else self.final_label.energy_eV

    @property
    def model_error_eV(self) -> float | None:
        """Model minus engine at the model's geometry, before the model saw this label, eV."""
        return None if self.label is None else self.minimum.energy_eV - self.label.energy_eV


@dataclass(frozen=True)
class StartsTried:
    """How many starts of one charge state a search tried.

    Attributes:
        key: the charge state.
        first: starts before the further ones.
        further: further starts.
        new_minima: new low minima that the further ones brought.
        last_new: number of the further start that led to the last of them; 0 if there is none.
        rested: whether it ended because nothing new came; else it ended at its limit.
    """

    key: DefectKey
    first: int
    further: int
    new_minima: int
    last_new: int
    rested: bool

    @property
    def text(self) -> str:
        """In words."""
        after = f", the last from the {_ordinal(self.last_new)}" if self.new_minima else ""
        new = f"{self.new_minima or 'no'} new low {'minimum' if self.new_minima == 1 else 'minima'}"
        end = "until nothing new came" if self.rested else "up to the limit"
        return f"{self.first} starts and {self.further} further ones, {end}; {new} from these{after}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
