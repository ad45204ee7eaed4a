"""Any ASE calculator as an engine: it is told charge and spin, or the study says that it knows none.

A calculator's class is named in the study and imported, so a study from others can run whatever is
installed here; only subclasses of ASE's own base classes, and ``ase_program.MAKERS``, are called.
"""

import contextlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame, Ints
from defectscape.domain.label import Label
from defectscape.engines import ase_program
from defectscape.engines.ase_program import package_version as calculator_version
from defectscape.engines.base import CalculationFailed, ScfAttempt
from defectscape.engines.external_python import ExternalCalculator
from defectscape.engines.processor_time import core_seconds
from defectscape.engines.program import scratch_folder, tail
from defectscape.files.atoms import frame_info
from defectscape.settings.ase_calculator import MOMENTS, NONE, AseSettings

__all__ = ["AseEngine", "calculator_class", "calculator_version"]


class Answering(Protocol):
    """A calculator that answers the questions of ``ase_program``, wherever it is."""

    @property
    def version(self) -> str:
        """Name and version of its package."""

    def ask(self, question: Mapping[str, Any]) -> ase_program.Answer:
        """The answer. Raises CalculationFailed or EngineError if there is none."""

    def core_seconds(self) -> float:
        """Processor time used so far where it computes, s."""


class LocalCalculator:
    """A calculator's class in this Python and this process. Raises EngineError as ``calculator_class``."""

    def __init__(self, path: str) -> None:
        self._class = calculator_class(path)
        self.version = calculator_version(path)

    def ask(self, question: Mapping[str, Any]) -> ase_program.Answer:
        """As ``ase_program.answer``."""
        return ase_program.answer(self._class, dict(question))

    def core_seconds(self) -> float:
        """Of this process, s."""
        return core_seconds()


class AseEngine:
    """An ASE calculator with fixed arguments.

    The energy is the one that the forces are derivatives of: ``free_energy`` where the calculator
    tells it apart. Band edges come from eigenvalues and Fermi level, where it has them.

    Args:
        settings: class, arguments, where charge and spin go, and in which Python.

    Raises:
        EngineError: if the class is to be in this Python, and cannot be imported or is no ASE calculator.
    """

    def __init__(self, settings: AseSettings) -> None:
        self.settings = settings
        self.name = f"ase/{settings.calculator}"
        self._calculator: Answering = (
            LocalCalculator(settings.calculator)
            if settings.python is None
            else ExternalCalculator(settings.python, settings.calculator, self.name, settings.time_limit_s)
        )
        self.attempts = (
            ScfAttempt("configured", "As configured."),
            *(ScfAttempt(f"engine.ladder[{k}]", str(a)) for k, a in enumerate(settings.ladder)),
        )
        # Not the Python: where a package is installed changes no label.
        self.settings_json = json.dumps(
            settings.model_dump(
                mode="json",
                include={"arguments", "charge", "multiplicity", "method", "revision", "stress"},
            ),
            sort_keys=True,
        )

    @property
    def version(self) -> str:
        """Name and version of the calculator's package. Raises EngineError if another Python has none."""
        return self._calculator.version

    def core_seconds(self) -> float:
        """Processor time used so far where the calculator computes, s."""
        return self._calculator.core_seconds()

    def settings_of(self, numbers: Ints) -> str:
        """All settings: none is of one element."""
        return self.settings_json

    def compute(self, frame: Frame, attempt: int) -> Label:
        """Energy (eV), forces (eV/A), stress (eV/A^3, if asked for), band edges (eV, if known).

        Raises:
            CalculationFailed: if the calculator fails.
            EngineError: if it does not take the arguments.
        """
        question = self._question(frame, attempt)
        with scratch_folder(self.settings.scratch) as folder:
            if self.settings.folder is not None:
                question["arguments"][self.settings.folder] = str(folder)
            answer = self._calculator.ask(question)
            if answer["kind"] == "refused":
                raise EngineError(*answer["words"])
            if answer["kind"] == "failed":
                raise CalculationFailed(f"{answer['reason']}{self._endings(folder)}", hopeless=answer["hopeless"])
            self._refuse_failed(folder)
        return Label(answer["energy_eV"], answer["forces_eV_A"], answer["stress_eV_A3"], *answer["edges_eV"])

    def _question(self, frame: Frame, attempt: int) -> dict[str, Any]:
        """What ``ase_program`` is asked; the working folder is not yet in it."""
        arguments: dict[str, Any] = dict(self.settings.arguments)
        if attempt:
            arguments |= self.settings.ladder[attempt - 1]
        info: dict[str, Any] = dict(frame_info(frame))
        unpaired = None
        for place, value in (
            (self.settings.charge, frame.charge),
            (self.settings.multiplicity, frame.multiplicity),
        ):
            if place == MOMENTS:
                unpaired = frame.unpaired
            elif place.startswith("info."):
                info[place.removeprefix("info.")] = value
            elif place != NONE:
                arguments[place] = value
        return {
            "name": self.name,
            "arguments": arguments,
            "numbers": frame.numbers.tolist(),
            "positions_A": frame.positions_A.tolist(),
            "cell_A": frame.cell_A.tolist(),
            "info": info,
            "unpaired": unpaired,
            "stress": self.settings.stress,
        }

    def _refuse_failed(self, folder: Path) -> None:
        for name, text in self.settings.failed_if.items():
            try:
                found = text.encode() in (folder / name).read_bytes()
            except OSError as error:
                raise EngineError(
                    f"engine {self.name}, output {name}",
                    error.strerror or error,
                    "Correct engine.failed_if: the file is what tells a failure",
                ) from error
            if found:
                raise CalculationFailed(f"{name} says {text!r}")

    def _endings(self, folder: Path) -> str:
        """The last words of the outputs, whose folder is about to go."""
        words = ""
        for name in self.settings.failed_if:
            with contextlib.suppress(OSError):
                plain = " ".join(re.sub(r"[*=|/\\_]+", " ", tail(folder / name)).split())
                words += f"; {name} ends: {plain[-300:]}"
        return words


def calculator_class(path: str) -> Callable[..., Any]:
    """The class (or one of ``ase_program.MAKERS``) at ``module.Class``, once it is known to be an ASE calculator.

    Raises:
        EngineError: if it cannot be imported, or is none.
    """
    try:
        return ase_program.find_calculator(path)
    except ase_program.Refused as error:
        raise EngineError(*error.words) from error
