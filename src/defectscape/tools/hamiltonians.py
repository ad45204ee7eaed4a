"""Which of the embedded engine's Hamiltonians converge on a host and its elements, so that a study can be made of two.

Extended tight binding was made for molecules: on some crystals an SCF of it does not end (IPEA1-xTB on GaAs).
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame
from defectscape.domain.label import Label
from defectscape.engines.attempts import try_attempts
from defectscape.engines.registry import make_engine
from defectscape.settings.tblite import TbliteSettings

logger = logging.getLogger(__name__)

METHODS: tuple[str, ...] = get_args(TbliteSettings.model_fields["method"].annotation)
SMALLEST_GAP_EV = 0.05
"""Below it the crystal is a metal, in which no defect has a level."""


@dataclass(frozen=True)
class Trial:
    """One Hamiltonian's single points.

    Attributes:
        method: the Hamiltonian.
        gap_eV: gap of the host's supercell, eV; None where that did not converge.
        wall_s: time of the host's single point, s.
        failure: why the host did not converge, or None.
        reference_failure: which element's reference did not converge and why, or None. The high level alone needs them.
    """

    method: str
    gap_eV: float | None
    wall_s: float
    failure: str | None = None
    reference_failure: str | None = None

    @property
    def words(self) -> str:
        """What came of it."""
        if self.failure is not None:
            return f"{self.method} fails on the host ({self.failure})"
        gap = "no gap" if self.gap_eV is None else f"gap {self.gap_eV:.2f} eV"
        but = f", but fails on {self.reference_failure}" if self.reference_failure else ""
        return f"{self.method} converges: {gap}, {self.wall_s:.1f} s{but}"


OVERLAP = "(sygvd)"
"""In tblite's message where an overlap matrix is not positive definite."""


def find_pair(
    host: Frame, small: Frame | None, references: Mapping[str, Frame]
) -> tuple[tuple[Trial, ...], Trial, Trial]:
    """The trials that tell why, and the low and the high level among them.

    A large supercell is left to the two that a small one finds. All are tried on it only where these fail there.

    Args:
        host: the perfect supercell.
        small: a small supercell of the same crystal, or None where the study's own is one.
        references: the elements' frames.

    Raises:
        EngineError: as ``choose_pair``.
    """
    if small is not None:
        tried = try_hamiltonians(small, references)
        try:
            pair = choose_pair(tried)
        except EngineError as error:
            logger.info("in %d atoms: %s", len(small), error)
        else:
            low, high = (_try(trial.method, host, {}, 1) for trial in pair)
            if low.failure is None and high.failure is None and has_gap(high):
                return (low, high, *(trial for trial in tried if trial.failure is not None)), low, high
    trials = try_hamiltonians(host, references)
    low, high = choose_pair(trials)
    return trials, low, high


def has_gap(trial: Trial) -> bool:
    """Whether levels can lie in its gap."""
    return (trial.gap_eV or 0.0) >= SMALLEST_GAP_EV


def try_hamiltonians(host: Frame, references: Mapping[str, Frame]) -> tuple[Trial, ...]:
    """Single points of the host, and where that converges of the references, with every Hamiltonian.

    The slower attempts of the engine are made only where the first one leaves no pair.

    Args:
        host: the perfect supercell.
        references: the elements' frames.
    """
    trials = tuple(_try(method, host, references, 1) for method in METHODS)
    return trials if _candidates(trials) else tuple(_try(method, host, references, None) for method in METHODS)


def _try(method: str, host: Frame, references: Mapping[str, Frame], attempts: int | None) -> Trial:
    engine = make_engine(TbliteSettings.model_validate({"kind": "tblite", "method": method}))
    logger.info("%s: single point of the host, %d atoms", method, len(host))
    began = time.perf_counter()
    made = try_attempts(engine, host, engine.compute, attempts)
    wall_s = time.perf_counter() - began
    if made.result is None:
        return Trial(method, None, wall_s, _short(made.failure))
    trial = Trial(method, _gap_eV(made.result), wall_s)
    for name, frame in references.items():
        logger.info("%s: single point of %s, %d atoms", method, name, len(frame))
        reference = try_attempts(engine, frame, engine.compute, attempts)
        if reference.result is None:
            return replace(trial, reference_failure=f"{name} ({_short(reference.failure)})")
    return trial


def _gap_eV(label: Label) -> float | None:
    return None if label.vbm_eV is None or label.cbm_eV is None else label.cbm_eV - label.vbm_eV


def _short(failure: str | None) -> str:
    """The last attempt's reason."""
    reason = (failure or "").rpartition("; ")[2].partition(": ")[2]
    return "its orbitals overlap too much in this crystal" if OVERLAP in reason else reason


def _candidates(trials: Sequence[Trial]) -> list[Trial]:
    """Hamiltonians that can be the high level beside another one."""
    usable = [trial for trial in trials if trial.failure is None]
    return [trial for trial in usable if trial.reference_failure is None] if len(usable) > 1 else []


def choose_pair(trials: Sequence[Trial]) -> tuple[Trial, Trial]:
    """Low and high level: the one of the widest gap is high, so that levels lie in it; the fastest other is low.

    Raises:
        EngineError: if there is no pair, or the widest gap is none.
    """
    told = "; ".join(trial.words for trial in trials)
    candidates = _candidates(trials)
    if not candidates:
        raise EngineError(
            "Hamiltonians for two levels",
            told,
            "Two must converge on the host, and one of them on its elements: try a larger supercell "
            "(--image-distance 13), or another engine (--engine espresso, vasp or ase)",
        )
    high = max(candidates, key=lambda trial: trial.gap_eV or 0.0)
    if not has_gap(high):
        remedy = "Without a gap no level is in it: take another engine (--engine espresso, vasp or ase)"
        raise EngineError("gap of the host", told, remedy)
    others = [trial for trial in trials if trial.failure is None and trial is not high]
    return min(others, key=lambda trial: trial.wall_s), high
