"""Does an engine really see the charge? Asked once, with two more electrons taken or given.

ASE calculators accept entries of ``atoms.info`` and many keywords that they never look at. Told the charge in
such a place, they would give every charge state the same energy and forces, and nothing would fail.
"""

import time
from dataclasses import replace

from defectscape.domain.errors import EngineError, LabelError
from defectscape.domain.frame import Frame, Ints
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, Engine, ScfAttempt
from defectscape.settings.engine import FidelitiesSettings

SAME_EV = 1e-4
"""Energies of two charge states that are closer are the same; truly they differ by electron volts."""

LONGEST_S = 30.0
"""A label that takes longer is computed once only: what looks at the charge is worth no hours."""

STEP = 2
"""Electrons: an even number leaves the spin multiplicity what it is, so that the charge alone changes."""


class ChargeCheckedEngine:
    """The engine, whose first quick label is computed in another charge state, too.

    Args:
        engine: says that it is told the charge.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.name = engine.name
        self.settings_json = engine.settings_json
        self._checked = False

    @property
    def version(self) -> str:
        """As the engine's."""
        return self.engine.version

    @property
    def attempts(self) -> tuple[ScfAttempt, ...]:
        """As the engine's."""
        return self.engine.attempts

    def settings_of(self, numbers: Ints) -> str:
        """As the engine's."""
        return self.engine.settings_of(numbers)

    def compute(self, frame: Frame, attempt: int) -> Label:
        """As the engine's.

        Raises:
            CalculationFailed: as the engine.
            EngineError: as the engine, and if its answer does not depend on the charge.
        """
        began = time.perf_counter()
        label = self.engine.compute(frame, attempt)
        if not self._checked and time.perf_counter() - began < LONGEST_S:
            self._check(frame, attempt, label)
            self._checked = True
        return label

    def _check(self, frame: Frame, attempt: int, label: Label) -> None:
        charge = frame.charge - STEP if frame.charge > 0 else frame.charge + STEP
        try:
            other = self.engine.compute(replace(frame, key=DefectKey(frame.key.defect, charge)), attempt)
        except (CalculationFailed, LabelError):
            # It fails at another charge, so it has seen it.
            return
        if abs(other.energy_eV - label.energy_eV) < SAME_EV:
            raise EngineError(
                f"engine {self.name}",
                f"gives charge {frame.charge:+d} and charge {charge:+d} the same energy, {label.energy_eV:.4f} eV",
                "It does not look at what engine.charge names: correct that, or state that it knows no charge "
                "(charge: none, charge_blind: true)",
            )


def charge_blind_lines(fidelities: FidelitiesSettings) -> list[str]:
    """A warning for each fidelity whose engine knows no charge, as the study states."""
    blind = [item for item in (fidelities.low, fidelities.high) if getattr(item.engine, "charge_blind", False)]
    return [
        f"The {item.name} engine knows no charge (charge_blind), as the study states: a structure's {item.name} energy "
        "and forces are the same in every charge state."
        for item in blind
    ]
