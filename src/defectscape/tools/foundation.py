"""A foundation potential on the study's own task: does it know the charge, and what does it find?

The same starts are relaxed with the potential and compared with the study's verified minima, beside the
relaxations of the study's own committee (arXiv:2603.05238 makes this comparison). Bulk-trained potentials
have no charge: they give every charge state the same structure.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Relaxation
from defectscape.engines.ase_calculator import calculator_class, calculator_version
from defectscape.engines.processor_time import core_seconds
from defectscape.files.tables import write_json
from defectscape.search.matching import Operations, rmsd_A
from defectscape.search.relaxation import relax_all
from defectscape.settings.groups import Group, exploration_groups
from defectscape.study.context import StudyContext
from defectscape.study.frames import read_starts
from defectscape.study.host import site_operations
from defectscape.study.levels import read_levels
from defectscape.study.minima import read_relaxations, read_verified
from defectscape.tools.recovery import Recovery, recover
from defectscape.tools.surfaces import AseSurface, charge_response

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChargePair:
    """Lowest minima of two charge states of one defect: how far are they apart?

    Attributes:
        one, other: keys.
        reference_A: RMSD between the verified ground states.
        foundation_A: between the potential's lowest minima; None if one is missing.
    """

    one: str
    other: str
    reference_A: float
    foundation_A: float | None


@dataclass(frozen=True)
class ChargeResponse:
    """What one geometry of a defect says in its charge states; zeros if the charge is not seen."""

    defect: str
    charges: tuple[int, ...]
    energy_eV: float
    force_eV_A: float


@dataclass(frozen=True)
class FoundationComparison:
    """The comparison.

    Attributes:
        name, calculator, version, arguments: the potential.
        fmax_eV_A, max_steps: of the relaxations, as the study's.
        relaxations, core_s: how many, and what they took, s.
        charge_responses: per defect.
        foundation, ours: what both find, per key.
        pairs: per defect and adjacent charges.
    """

    name: str
    calculator: str
    version: str
    arguments: dict[str, Any]
    fmax_eV_A: float
    max_steps: int
    relaxations: int
    core_s: float
    charge_responses: tuple[ChargeResponse, ...]
    foundation: tuple[Recovery, ...]
    ours: tuple[Recovery, ...]
    pairs: tuple[ChargePair, ...]


def compare_foundation(
    context: StudyContext, calculator: str, arguments: Mapping[str, Any], name: str, target: Path
) -> FoundationComparison:
    """Relax the study's starts with an ASE calculator, compare, and write JSON to ``target``.

    Args:
        context: a study that has run to its levels.
        calculator: class with its module, ``chgnet.model.dynamics.CHGNetCalculator``.
        arguments: its keyword arguments.
        name: how it is called in tables.
        target: the file.

    Raises:
        EngineError: if there is no such calculator, or it does not take the arguments.
        StoreError: if the study has not run so far.
    """
    found = calculator_class(calculator)
    grounds = {state.key: state.frame for state in read_levels(context).ground_states}

    def make() -> Any:
        try:
            return found(**arguments)
        except TypeError as error:
            raise EngineError(f"calculator {calculator}", error, "Correct its arguments") from error

    surface = AseSurface(make)
    began = core_seconds()
    theirs: list[Recovery] = []
    ours: list[Recovery] = []
    charge_responses: list[ChargeResponse] = []
    pairs: list[ChargePair] = []
    for group in exploration_groups(context.study):
        keys = [key for key in group.keys if key in grounds]
        starts = [f for f in read_starts(context, group.name) if f.key in keys]
        if not keys or not starts:
            logger.warning("%s has no ground state to compare with", group.name)
            continue
        operations = site_operations(context, group.defect)
        relaxed = _relaxed(context, surface, starts)
        mine = read_relaxations(context, group.name)
        for key in keys:
            reference = _reference(context, group, key, grounds[key])
            theirs.append(_recovery(context, relaxed, reference, operations, key))
            ours.append(_recovery(context, mine, reference, operations, key))
        charges = tuple(sorted(key.charge for key in keys))
        charge_responses.append(ChargeResponse(group.defect, charges, *charge_response(surface, starts[0], charges)))
        pairs += _pairs(relaxed, grounds, operations, keys)
    result = FoundationComparison(
        name,
        calculator,
        calculator_version(calculator),
        dict(arguments),
        context.study.search.fmax_eV_A,
        context.study.search.max_steps,
        sum(row.starts for row in theirs),
        round(core_seconds() - began, 1),
        tuple(charge_responses),
        tuple(theirs),
        tuple(ours),
        tuple(pairs),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, result)
    return result


def _relaxed(context: StudyContext, surface: AseSurface, starts: Sequence[Frame]) -> tuple[Relaxation, ...]:
    # One by one: an ASE calculator has no batches, and its failures must stay its own.
    settings = context.study.search.model_copy(update={"batch_size": 1})
    return relax_all(starts, surface, settings)


def _reference(context: StudyContext, group: Group, key: DefectKey, ground: Frame) -> tuple[Frame, ...]:
    """The ground state, then the other verified minima by the engine's energy."""
    others = [
        item
        for item in read_verified(context, group.name, key)
        if item.final_label is not None and item.frame.frame_id != ground.frame_id
    ]
    others.sort(key=attrgetter("final_energy_eV"))
    return (ground, *(item.frame for item in others))


def _recovery(
    context: StudyContext,
    relaxations: Sequence[Relaxation],
    reference: Sequence[Frame],
    operations: Operations,
    key: DefectKey,
) -> Recovery:
    own = [relaxation for relaxation in relaxations if relaxation.start.key == key]
    return recover(own, reference, operations, context.study.minima)


def _pairs(
    relaxed: Sequence[Relaxation], grounds: Mapping[DefectKey, Frame], operations: Operations, keys: Sequence[DefectKey]
) -> list[ChargePair]:
    ordered = sorted(keys, key=lambda key: key.charge)
    found = []
    for one, other in pairwise(ordered):
        lowest = [
            min((r for r in relaxed if r.start.key == key and r.converged), key=lambda r: r.energy_eV, default=None)
            for key in (one, other)
        ]
        first, second = lowest
        apart = None
        if first is not None and second is not None:
            apart = _apart(first.final, second.final, operations)
        found.append(ChargePair(str(one), str(other), _apart(grounds[one], grounds[other], operations), apart))
    return found


def _apart(one: Frame, other: Frame, operations: Operations) -> float:
    """RMSD (A) of two structures, whatever their charges."""
    return rmsd_A(one, other.recharged(one.charge, origin=other.origin), operations)
