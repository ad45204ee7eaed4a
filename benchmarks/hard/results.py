"""What the benchmark of defects that reconstruct measured, row by row."""

from dataclasses import dataclass
from pathlib import Path

from defectscape.domain.errors import ConfigError
from defectscape.files.codec import decode
from defectscape.files.tables import read_json

RIGHT_MEV = 10.0
"""A ground state this close to the lowest energy known is right."""


@dataclass(frozen=True)
class EndRow:
    """Where the engine took one start.

    Attributes:
        start: in words.
        reason: ``converged``, or why it stopped.
        steps: of the relaxation.
        fmax_eV_A: largest force at the end, eV/A.
        above_meV: energy above the lowest end that converged, meV; negative where it stopped lower. None if there is
            no energy, or no end converged.
    """

    start: str
    reason: str
    steps: int
    fmax_eV_A: float | None
    above_meV: float | None


@dataclass(frozen=True)
class TruthRow:
    """All starts of one state, relaxed with the engine.

    Attributes:
        host, key: the host's formula; defect and charge.
        lowest_eV: the lowest end that converged, eV; None if none did.
        plain_meV: where the unperturbed start ends above it, meV; None if it did not converge.
        labels, core_s: of the high-level engine, and their processor time, s.
        ends: of all starts, in their order; the first is the unperturbed one.
    """

    host: str
    key: str
    lowest_eV: float | None
    plain_meV: float | None
    labels: int
    core_s: float
    ends: tuple[EndRow, ...]

    @property
    def right_starts(self) -> int:
        """How many starts end within ``RIGHT_MEV`` of the lowest end."""
        return sum(
            end.reason == "converged" and end.above_meV is not None and end.above_meV < RIGHT_MEV for end in self.ends
        )


@dataclass(frozen=True)
class StateRow:
    """One state of one finished study. Errors are energies above the lowest that is known of the state: of all direct
    relaxations, and of the ground states of all finished studies, relaxed on with the engine.

    Attributes:
        host, key: the host's formula; defect and charge.
        seed, prior: of the study; the prior is ``none`` or ``low``, with the option of the search where there is one.
        status: the report's word.
        certain, open: whether the report calls the ground state certain, and whether it calls it open.
        error_meV: of the reported ground state, meV.
        rmsd_A: the reported ground state to the structure of that lowest energy, A.
        relaxed_meV: the error once the ground state is relaxed on with the engine, meV; None if that did not converge.
        direct_error_meV: the lowest direct relaxation's error, meV.
        plain_error_meV: the error of the unperturbed start relaxed alone, meV; None if that did not converge.
        force_left_eV_A: the engine's largest force at the reported ground state, eV/A; None if not verified.
        high_labels, low_labels: of the state, in all rounds, verification included; calls of a prior are none.
        direct_high_labels: that the direct relaxations took.
        model_error_before_meV: model less engine where verification of the ground state's minimum began, before
            the model had seen that label, meV; None if there is no such label.
    """

    host: str
    seed: int
    prior: str
    key: str
    status: str
    certain: bool
    open: bool
    error_meV: float
    rmsd_A: float
    relaxed_meV: float | None
    direct_error_meV: float
    plain_error_meV: float | None
    force_left_eV_A: float | None
    high_labels: int
    low_labels: int
    direct_high_labels: int
    model_error_before_meV: float | None


@dataclass(frozen=True)
class HardResult:
    """All truths that are known, and all states of finished studies."""

    truths: tuple[TruthRow, ...]
    states: tuple[StateRow, ...]


def read_hard(path: Path) -> HardResult:
    """The committed result.

    Raises:
        ConfigError: if it is not there.
    """
    if not path.is_file():
        raise ConfigError("result of the benchmark", str(path), "There is no such file; gather it first")
    found: HardResult = decode(HardResult, read_json(path))
    return found
