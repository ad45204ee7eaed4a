"""How many labels a relaxation with the engine takes to its end: our steps, BFGS, and ASE's GPMin.

From the model's lowest minima and from the unperturbed start of every state of a finished study. Our steps go to the
minimum of the model's surface corrected by all labels of the relaxation. The others know no model.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ase.calculators.calculator import CalculationFailed
from ase.optimize import BFGS, GPMin

from defectscape.domain.errors import ConfigError
from defectscape.domain.family import UNPERTURBED
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.engines.stored_calculator import StoredCalculator
from defectscape.files.atoms import to_atoms
from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
from defectscape.search.corrected_surface import lowest_observation
from defectscape.search.verification import Stepper, corrected_steps, relax_with_engine
from defectscape.study.committees import surface_beside_engine
from defectscape.study.context import StudyContext
from defectscape.study.frames import read_starts
from defectscape.study.minima import read_minima

logger = logging.getLogger(__name__)

MOST_STEPS = 60
OURS = "corrected surface"
OPTIMISERS = {"BFGS": BFGS, "GPMin": GPMin}
MINIMA = 2
"""Lowest minima of each state that are relaxed."""


@dataclass(frozen=True)
class RelaxationRow:
    """One relaxation with the high-level engine.

    Attributes:
        study, key, start: what was relaxed; the start is ``unperturbed`` or ``minimum N``.
        method: ``corrected surface``, ``BFGS`` or ``GPMin``.
        labels: of the engine, the start's among them.
        energy_eV, fmax_eV_A: of the lowest geometry, and the largest force there.
        finished: whether that force is below the study's limit.
    """

    study: str
    key: str
    start: str
    method: str
    labels: int
    energy_eV: float
    fmax_eV_A: float
    finished: bool


def measure_relaxations(context: StudyContext, target: Path) -> tuple[RelaxationRow, ...]:
    """Relax by every method; JSON to ``target`` after each state, whose other studies it keeps.

    Raises:
        ConfigError: if the study has no minima yet.
    """
    before = [row for row in read_relaxation_rows(target) if row.study != context.study.study]
    rows: list[RelaxationRow] = []
    for group in context.groups:
        if not context.layout.group(group.name).minima.is_file():
            raise ConfigError(context.study.study, "no minima yet", "Run the study first")
        for key in group.keys:
            rows += _of_state(context, group.name, key)
            write_json(target, [*before, *rows])
    return tuple(rows)


def read_relaxation_rows(path: Path) -> tuple[RelaxationRow, ...]:
    """What was measured so far; nothing where there is no file."""
    return tuple(decode(RelaxationRow, row) for row in read_json(path)) if path.is_file() else ()


def relaxation_table(rows: tuple[RelaxationRow, ...]) -> str:
    """Labels of each relaxation in Markdown, brackets where it did not finish; the energies against the lowest."""
    methods = (OURS, *OPTIMISERS)
    lines = [f"| state | start | {' | '.join(methods)} |\n|---|---|{'---|' * len(methods)}\n"]
    starts = dict.fromkeys((row.study, row.key, row.start) for row in rows)
    for study, key, start in starts:
        own = {row.method: row for row in rows if (row.study, row.key, row.start) == (study, key, start)}
        lowest_eV = min(row.energy_eV for row in rows if (row.study, row.key) == (study, key))
        cells = []
        for row in (own[method] for method in methods):
            count = f"{row.labels}" if row.finished else f"({row.labels})"
            cells.append(f"{count}, {1e3 * (row.energy_eV - lowest_eV):.0f} meV")
        lines.append(f"| {key} | {start} | {' | '.join(cells)} |\n")
    return "".join(lines)


def _of_state(context: StudyContext, group: str, key: DefectKey) -> Iterator[RelaxationRow]:
    minima = [minimum for minimum in read_minima(context, group) if minimum.frame.key == key][:MINIMA]
    plain = [frame for frame in read_starts(context, group) if frame.key == key and frame.note == UNPERTURBED]
    starts = {f"minimum {minimum.rank}": minimum.frame for minimum in minima} | {UNPERTURBED: plain[0]}
    step = _steps(context, group)
    for start, frame in starts.items():
        for method in (OURS, *OPTIMISERS):
            labels, lowest = _ours(context, frame, step) if method == OURS else _ase(context, frame, method)
            if lowest is None:
                logger.warning("%s, %s by %s: the engine failed on the start", key, start, method)
                continue
            finished = lowest.fmax_eV_A < context.study.verification.fmax_eV_A
            yield RelaxationRow(
                context.study.study, str(key), start, method, labels, lowest.energy_eV, lowest.fmax_eV_A, finished
            )


def _steps(context: StudyContext, group: str) -> Stepper:
    study = context.study
    last = context.layout.group(group).round(study.exploration.rounds)
    surface = surface_beside_engine(context, last, study.exploration.training, context.fidelity_names[1])
    return corrected_steps(surface, study.search, limit_eV_A=study.verification.fmax_eV_A)


def _ours(context: StudyContext, frame: Frame, step: Stepper) -> tuple[int, Label | None]:
    def label(each: Frame) -> Label | None:
        return context.trainable_label(each, "high")

    path = relax_with_engine(frame, label, step, MOST_STEPS, context.study.verification.fmax_eV_A)
    return len(path), lowest_observation(path)[1] if path else None


def _ase(context: StudyContext, frame: Frame, method: str) -> tuple[int, Label | None]:
    limit_eV_A = context.fidelity_settings("high").max_force_eV_A
    calculator = StoredCalculator(
        context.engine("high"), context.store, frame.key, frame.family, limit_eV_A, frame.multiplicity
    )
    atoms = to_atoms(frame)
    atoms.calc = calculator
    try:
        OPTIMISERS[method](atoms, logfile=None).run(fmax=context.study.verification.fmax_eV_A, steps=MOST_STEPS)
    except (CalculationFailed, ValueError, RuntimeError) as error:
        logger.warning("%s by %s: %s", frame.key, method, error)
    labels = [record.label for record in calculator.records if record.label is not None]
    return len(calculator.records), min(labels, key=lambda found: found.energy_eV, default=None)
