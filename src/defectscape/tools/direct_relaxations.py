"""Direct relaxations: starts of a study relaxed with an engine itself, as a user would without the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from defectscape.domain.errors import ConfigError
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Relaxation
from defectscape.search.relaxation import relax_all
from defectscape.search.surface import Surface
from defectscape.settings.search import SearchSettings


@dataclass(frozen=True)
class DirectSearch:
    """Which relaxations with the engine are made.

    Attributes:
        level: ``high`` or ``low``: whose engine relaxes.
        keys: defect keys; None for all.
        starts: notes of the starts, such as ``unperturbed`` or ``dimer``; None for all.
        fmax_eV_A: convergence; None for the study's.
        max_steps: limit of a relaxation; None for the study's.
    """

    level: Literal["high", "low"] = "high"
    keys: tuple[str, ...] | None = None
    starts: tuple[str, ...] | None = None
    fmax_eV_A: float | None = None
    max_steps: int | None = None

    @property
    def whole(self) -> bool:
        """Whether it is the truth about the whole study, at its high level and convergence."""
        return self == DirectSearch()

    def check(self, starts: Sequence[Frame]) -> None:
        """Refuse keys and starts that are not there.

        Raises:
            ConfigError: naming those that are.
        """
        known = {str(frame.key) for frame in starts}, {frame.note for frame in starts}
        for thing, asked, names in zip(("keys", "starts"), (self.keys, self.starts), known, strict=True):
            for name in asked or ():
                if name not in names:
                    remedy = f"The study has {', '.join(sorted(names))}"
                    raise ConfigError(thing, repr(name), remedy)

    def of(self, starts: Sequence[Frame], key: DefectKey) -> list[Frame]:
        """The starts of a key that are relaxed."""
        own = [frame for frame in starts if frame.key == key]
        return [frame for frame in own if self.starts is None or frame.note in self.starts]

    def relax(self, starts: Sequence[Frame], surface: Surface, settings: SearchSettings) -> tuple[Relaxation, ...]:
        """Relax starts one by one; only convergence, the step limit and the geometry end a relaxation.

        Args:
            starts: frames.
            surface: an engine's.
            settings: the study's, for what is not given here.
        """
        # An engine has no committee to ask, and its calls go one by one.
        changes: dict[str, float] = {"batch_size": 1}
        if self.fmax_eV_A is not None:
            changes["fmax_eV_A"] = self.fmax_eV_A
        if self.max_steps is not None:
            changes["max_steps"] = self.max_steps
        return relax_all(starts, surface, settings.model_copy(update=changes), path_frames=0)


@dataclass(frozen=True)
class DirectEnd:
    """Where one direct relaxation ended.

    Attributes:
        start: note of the start.
        reason: ``converged``, or why it stopped.
        steps: relaxation steps.
        fmax_eV_A: largest force at the end, eV/A.
        above_eV: energy above the lowest minimum of both searches, eV; below zero where it stopped
            lower than any that converged.
        at_high_eV: the high level's energy there less that of the reported ground state, eV, where the low
            level relaxed; None otherwise, for one that did not converge, or if that label failed.
    """

    start: str
    reason: str
    steps: int
    fmax_eV_A: float
    above_eV: float
    at_high_eV: float | None = None


def ends_of(
    direct: Sequence[Relaxation], lowest_eV: float, at_high_eV: Callable[[Frame], float | None]
) -> tuple[DirectEnd, ...]:
    """One for each direct relaxation, in order; ``at_high_eV`` is asked of those that converged."""
    return tuple(
        DirectEnd(
            r.start.note,
            r.reason,
            r.steps,
            r.fmax_eV_A,
            r.energy_eV - lowest_eV,
            at_high_eV(r.final) if r.converged else None,
        )
        for r in direct
    )
