"""What an engine is: something that computes the label of a frame, and how it tells of failure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ase.data import chemical_symbols

from defectscape.domain.frame import Floats, Frame, Ints
from defectscape.domain.label import Label


@dataclass(frozen=True)
class ScfAttempt:
    """One way to the SCF solution; later attempts are slower and more robust.

    An attempt changes how the solution is reached, never which problem is solved: the labels of all
    attempts of an engine are of the same level of theory.
    """

    name: str
    description: str


class CalculationFailed(Exception):
    """One calculation gave no label.

    Args:
        reason: why, in a few words; it goes into the record.
        hopeless: whether no other attempt can help.
    """

    def __init__(self, reason: str, *, hopeless: bool = False) -> None:
        self.reason = " ".join(reason.split())
        self.hopeless = hopeless
        super().__init__(self.reason)


class Engine(Protocol):
    """An electronic structure code with all its settings."""

    @property
    def name(self) -> str:
        """Its name, part of every label's key."""

    @property
    def version(self) -> str:
        """Version of its package, kept in every record."""

    @property
    def settings_json(self) -> str:
        """All settings that change a label, canonical JSON."""

    def settings_of(self, numbers: Ints) -> str:
        """The settings that change the label of a frame of these species: part of its key.

        Files of elements that a frame lacks are not among them, so a study that gets a dopant keeps
        its labels.

        Args:
            numbers: atomic numbers, (atoms,).
        """

    @property
    def attempts(self) -> tuple[ScfAttempt, ...]:
        """The attempts, at least one; the first is as configured."""

    def compute(self, frame: Frame, attempt: int) -> Label:
        """Energy and forces of a frame, a function of the frame and the attempt alone.

        Args:
            frame: the structure.
            attempt: index of the attempt, from 0.

        Raises:
            CalculationFailed: if this attempt gives the frame no label.
            LabelError: if a number came out that is not finite; counts as a failure.
            EngineError: if the engine cannot run at all.
        """


@runtime_checkable
class PotentialEngine(Protocol):
    """An engine that also gives the electrostatic potential at each atom."""

    def compute_potentials(self, frame: Frame, attempt: int) -> tuple[Label, Floats]:
        """A frame's label, and the electrostatic potential at each of its atoms, (n,), V.

        Raises:
            CalculationFailed: as ``Engine.compute``, or if there is no potential.
        """


@runtime_checkable
class HandoverEngine(Protocol):
    """An engine that writes inputs for people to run: a last relaxation, outside this workflow."""

    def relaxation_inputs(self, frame: Frame, fmax_eV_A: float) -> dict[str, str]:
        """Input files that relax a frame down to ``fmax_eV_A``, as text by file name.

        Raises:
            EngineError: if a file that the inputs depend on is not there.
        """


def settings_of_species(settings_json: str, files_entry: str, numbers: Sequence[int] | Ints) -> str:
    """An engine's settings with the files of these species alone.

    Args:
        settings_json: all its settings, canonical JSON.
        files_entry: the entry that holds the files, a mapping or pairs by element symbol.
        numbers: atomic numbers, (atoms,).
    """
    content = json.loads(settings_json)
    elements = {chemical_symbols[int(number)] for number in numbers}
    pairs = content[files_entry]
    if isinstance(pairs, dict):
        content[files_entry] = {e: file for e, file in pairs.items() if e in elements}
    else:
        content[files_entry] = [pair for pair in pairs if pair[0] in elements]
    return json.dumps(content, sort_keys=True)
