"""Which of the embedded engine's Hamiltonians converge on a host and its elements, so that a study can be made of two.

Extended tight binding was made for molecules: on some crystals an SCF of it does not end (IPEA1-xTB on GaAs).
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
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
        gap_eV: gap of the host's supercell, eV; None where it did not converge.
        wall_s: time of the host's single point, s.
        failure: what did not converge and why, or None.
    """

    method: str
    gap_eV: float | None
    wall_s: float
    failure: str | None

    @property
    def words(self) -> str:
        """What came of it."""
        if self.failure is not None:
            return f"{self.method}: {self.failure}"
        gap = "no gap" if self.gap_eV is None else f"gap {self.gap_eV:.2f} eV"
        return f"{self.method}: converges, {gap}, {self.wall_s:.1f} s"


def try_hamiltonians(host: Frame, references: Mapping[str, Frame]) -> tuple[Trial, ...]:
    """Single points of the host, and where that converges of the references, with every Hamiltonian.

    The slower attempts of the engine are made only where the first one leaves fewer than two Hamiltonians.

    Args:
        host: the perfect supercell.
        references: the elements' frames.
    """
    first = tuple(_try(method, host, references, 1) for method in METHODS)
    if sum(trial.failure is None for trial in first) >= 2:
        return first
    return tuple(trial if trial.failure is None else _try(trial.method, host, references, None) for trial in first)


def _try(method: str, host: Frame, references: Mapping[str, Frame], attempts: int | None) -> Trial:
    engine = make_engine(TbliteSettings.model_validate({"kind": "tblite", "method": method}))
    gap_eV, wall_s = None, 0.0
    for name, frame in {"the host": host, **references}.items():
        logger.info("%s: single point of %s, %d atoms", method, name, len(frame))
        began = time.perf_counter()
        made = try_attempts(engine, frame, engine.compute, attempts)
        if made.result is None:
            return Trial(method, gap_eV, wall_s, f"fails on {name} ({_short(made.failure)})")
        if frame is host:
            gap_eV, wall_s = _gap_eV(made.result), time.perf_counter() - began
    return Trial(method, gap_eV, wall_s, None)


def _gap_eV(label: Label) -> float | None:
    return None if label.vbm_eV is None or label.cbm_eV is None else label.cbm_eV - label.vbm_eV


def _short(failure: str | None) -> str:
    """The last attempt's reason."""
    return (failure or "").rpartition("; ")[2]


def choose_pair(trials: tuple[Trial, ...]) -> tuple[Trial, Trial]:
    """Low and high level: the one of the widest gap is high, so that levels lie in it; the fastest other is low.

    Raises:
        EngineError: if fewer than two converge, or the widest gap is none.
    """
    usable = [trial for trial in trials if trial.failure is None]
    told = "; ".join(trial.words for trial in trials)
    if len(usable) < 2:
        raise EngineError(
            "Hamiltonians that converge on the host and its elements",
            told,
            "Two levels are needed: try a larger supercell (--image-distance 13), or another engine "
            "(--engine espresso, vasp or ase)",
        )
    high = max(usable, key=lambda trial: trial.gap_eV or 0.0)
    if (high.gap_eV or 0.0) < SMALLEST_GAP_EV:
        raise EngineError(
            "gap of the host",
            told,
            "Without a gap no level is in it: take another engine (--engine espresso, vasp or ase)",
        )
    low = min((trial for trial in usable if trial is not high), key=lambda trial: trial.wall_s)
    return low, high
