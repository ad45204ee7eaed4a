"""The host's test: its supercell, distorted and relaxed. A crystal that goes down itself stops the study.

The low-fidelity engine relaxes, since it is at hand before any model is, and the models that come learn defects alone:
the perfect supercell is none of their frames. What falls below the crystal there is labelled by the high-fidelity
engine, which also measures the curvature at the perfect supercell where symmetry leaves few labels to do, and decides.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from ase.io import write

from defectscape.domain.errors import ConfigError, HostError
from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.site import HostCrystal
from defectscape.sampling.curvature import HostCurvature, SoftestMode
from defectscape.sampling.host import host_frame
from defectscape.sampling.host_checks import LOOSE_A
from defectscape.sampling.host_distortions import host_distortions
from defectscape.settings.structure import StabilitySettings
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext
from defectscape.study.engine_relaxation import relaxation_records
from defectscape.study.host import read_host
from defectscape.study.host_stability import (
    CAME_BACK,
    SOFT_EV_A2,
    HostEnd,
    HostStability,
    LowerStructure,
    is_lower,
    moved_A,
    write_host_stability,
)
from defectscape.study.labels import Outcome, outcome_of
from defectscape.study.references import read_host_labels

logger = logging.getLogger(__name__)

SOFT_START_A = 0.1
"""First displacement of the atom that moves most along the softest mode; doubled while the energy falls."""
SOFT_LABELS = 4
"""Most displacements along it."""
BACK_A = 0.25
"""A relaxation whose atoms are this close to their places has come back to the crystal, if that is a minimum."""
LEAST_STEPS = 2
"""The first steps of a relaxation tell nothing: it may begin that close."""
PERFECT_STEPS = 40
"""Most steps of the crystal's own relaxation within its symmetry, which ends at once where it was relaxed before."""


def examine_host(context: StudyContext) -> None:
    """Distort the perfect supercell, relax it, and compare.

    Raises:
        HostError: if the crystal has a lower structure and the study does not accept that; if nothing could be tested.
    """
    settings = context.study.host.stability
    if settings is None:
        raise ConfigError("host.stability", "null", "Give it a section: this study has no test of its host")
    # As for the defects: no other structure is labelled before the host is.
    read_host_labels(context)
    host, ferromagnet = read_host(context), context.study.host.ferromagnet
    low, high = (_Level(context, name, settings, host_frame(host, ferromagnet)) for name in ("low", "high"))
    mode, not_measured = _softest(high, host, settings.curvature_labels)
    starts = host_distortions(host, context.study.sampling, settings.starts, context.study.seed, ferromagnet)
    found = [_Found.at_low(low, start, curved=mode is not None) for start in starts]
    if mode is not None and mode.curvature_eV_A2 < SOFT_EV_A2:
        found.append(_down(high, mode))
    found = _decided(high, found)
    result = HostStability(
        tuple(item.end for item in found),
        None if mode is None else mode.curvature_eV_A2,
        not_measured,
        high.fmax_eV_A,
        _lower(found, settings.tolerance_eV),
        low.outcomes,
        high.outcomes,
    )
    if not result.tested:
        why = "; ".join(dict.fromkeys(end.reason for end in result.ends)) or "each brings atoms too close"
        raise HostError(
            f"stability of the host {host.formula}",
            f"none of its distortions could be relaxed ({why})",
            "Change the engine's settings, or the distortions under sampling; host.stability: null leaves the test out",
        )
    if result.lower is not None:
        _write_lower(context, result.lower)
        if not settings.accept_unstable:
            raise _unstable(context, host, result.lower)
    write_host_stability(context, result)


def _unstable(context: StudyContext, host: HostCrystal, lower: LowerStructure) -> HostError:
    name = context.fidelity_settings("high").name
    return HostError(
        f"host {host.formula}",
        f"its supercell of {len(host.numbers)} atoms is not the lowest structure: {lower.start} leads {name} "
        f"{lower.below_eV:.3f} eV below it, atoms up to {lower.moved_A:.2f} A from their places. Defects would gain "
        "from this change of phase",
        f"Take {context.layout.lower_host} as host.file and relax it, or set host.stability.accept_unstable: true",
    )


@dataclass
class _Level:
    """One of the engines on the crystal.

    Attributes:
        context, fidelity, settings: the study, ``low`` or ``high``, limits.
        perfect: the perfect supercell.
        records: every record it took, by key.
    """

    context: StudyContext
    fidelity: str
    settings: StabilitySettings
    perfect: Frame
    records: dict[str, LabelRecord] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The fidelity's own name."""
        return self.context.fidelity_settings(self.fidelity).name

    def label(self, frame: Frame) -> LabelRecord:
        """The record of a frame."""
        record = self.context.label(frame, self.fidelity)
        self.records[record.key] = record
        return record

    def relaxed(self, start: Frame, steps: int, *, until_back: bool = False) -> list[LabelRecord]:
        """The records of a relaxation, which may end where it has come back to the crystal."""
        enough = self.is_back if until_back else None
        records = relaxation_records(self.context, self.fidelity, start, self.settings.fmax_eV_A, steps, enough)
        self.records |= {record.key: record for record in records}
        return records

    @cached_property
    def reference(self) -> tuple[Frame, float]:
        """The crystal relaxed within its symmetry, which its forces keep, and its energy, eV."""
        return _best(self.relaxed(self.perfect, PERFECT_STEPS))

    def is_back(self, records: Sequence[LabelRecord]) -> bool:
        """Whether a relaxation has taken steps, and is above the crystal and close to it."""
        label = records[-1].label
        return (
            len(records) > LEAST_STEPS
            and label is not None
            and self.above_eV(label.energy_eV) > -self.settings.tolerance_eV
            and self.moved_A(records[-1].frame) < BACK_A
        )

    @property
    def fmax_eV_A(self) -> float:
        """Largest force on an atom of the perfect supercell, eV/A."""
        label = self.label(self.perfect).label
        return np.nan if label is None else label.fmax_eV_A

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What became of its labels."""
        return tuple(map(outcome_of, self.records.values()))

    def above_eV(self, energy_eV: float) -> float:
        """An energy above the crystal's, eV."""
        return energy_eV - self.reference[1]

    def moved_A(self, frame: Frame) -> float:
        """Largest displacement of an atom from its place in the crystal, A."""
        return moved_A(frame, self.reference[0])


def _best(records: list[LabelRecord]) -> tuple[Frame, float]:
    """The lowest structure of a relaxation with a label, and its energy, eV."""
    energies = [(record.label.energy_eV, record.frame) for record in records if record.label is not None]
    energy_eV, frame = min(energies, key=lambda item: item[0])
    return frame, energy_eV


@dataclass(frozen=True)
class _Found:
    """An end and its structure; None where there is none."""

    end: HostEnd
    frame: Frame | None

    @classmethod
    def at_low(cls, low: _Level, start: Frame, *, curved: bool) -> "_Found":
        """Where the low-fidelity engine leads a distortion.

        Args:
            low: the engine.
            start: the distortion.
            curved: whether the curvature says what is in the crystal's neighbourhood.
        """
        records = low.relaxed(start, low.settings.steps, until_back=curved)
        if records[0].label is None:
            return cls(HostEnd(start.note, str(records[0].failure), 0, None, None, None), None)
        frame, energy_eV = _best(records)
        reason = CAME_BACK if curved and low.is_back(records) else _reason(records[-1], low.settings)
        above_eV = low.above_eV(energy_eV)
        logger.info("%s: %s, %s has it at %+.4f eV", start.note, reason, low.name, above_eV)
        return cls(HostEnd(start.note, reason, len(records) - 1, low.moved_A(frame), above_eV, None), frame)

    def at_high(self, high: _Level, frame: Frame, energy_eV: float) -> "_Found":
        """The same with what the high-fidelity engine says."""
        above_eV = high.above_eV(energy_eV)
        logger.info("%s: %s has it at %+.4f eV", self.end.start, high.name, above_eV)
        return _Found(replace(self.end, moved_A=high.moved_A(frame), high_eV=above_eV), frame)


def _reason(last: LabelRecord, settings: StabilitySettings) -> str:
    if last.label is None:
        return str(last.failure)
    return "relaxed" if last.label.fmax_eV_A < settings.fmax_eV_A else "step limit"


def _softest(high: _Level, host: HostCrystal, most: int) -> tuple[SoftestMode | None, str]:
    """The softest mode of the perfect supercell, or why it was not measured."""
    if most == 0:
        return None, "host.stability.curvature_labels is 0"
    curvature = HostCurvature(host, high.context.study.host.ferromagnet)
    if len(curvature.frames) > most:
        return None, f"it takes {len(curvature.frames)} labels, and host.stability.curvature_labels is {most}"
    at_rest = high.label(high.perfect).label
    forces: list[Floats] = []
    for frame in curvature.frames:
        record = high.label(frame)
        if record.label is None or at_rest is None:
            return None, f"a label failed: {record.failure}"
        # Forces that the crystal has at its place, where it was not relaxed, are no curvature.
        forces.append(record.label.forces_eV_A - at_rest.forces_eV_A)
    mode = curvature.softest(forces)
    logger.info("softest mode of the perfect supercell: %.3f eV/A^2 by %s", mode.curvature_eV_A2, high.name)
    return mode, ""


def _down(high: _Level, mode: SoftestMode) -> _Found:
    """Along an unstable mode as far as the energy falls, then down from there."""
    note = "the softest mode"
    shape = mode.direction / np.max(np.linalg.norm(mode.direction, axis=1))
    lowest: tuple[Frame, float] = high.reference
    for doubling in range(SOFT_LABELS):
        positions = high.reference[0].positions_A + SOFT_START_A * 2**doubling * shape
        start = high.perfect.moved(positions, origin=Origin.START, note=note)
        label = high.label(start).label
        if label is None or label.energy_eV >= lowest[1]:
            break
        lowest = start, label.energy_eV
    records = high.relaxed(replace(lowest[0], note=note), high.settings.steps)
    frame, energy_eV = _best(records)
    end = HostEnd(note, _reason(records[-1], high.settings), len(records) - 1, None, None, None)
    return _Found(end, frame).at_high(high, frame, energy_eV)


def _decided(high: _Level, found: list[_Found]) -> list[_Found]:
    """The ends with the high-fidelity engine's word on those that fell at the low one; it relaxes the lowest."""
    decided = []
    for item in found:
        end, frame = item.end, item.frame
        tolerance_eV = high.settings.tolerance_eV
        if frame is not None and end.low_eV is not None and is_lower(end.low_eV, end.moved_A or 0.0, tolerance_eV):
            label = high.label(frame).label
            item = item if label is None else item.at_high(high, frame, label.energy_eV)
        decided.append(item)
    fallen = [n for n, item in enumerate(decided) if item.end.low_eV is not None and item.end.high_eV is not None]
    if fallen:
        n = min(fallen, key=lambda n: decided[n].end.high_eV or 0.0)
        frame = decided[n].frame
        if frame is not None:
            records = high.relaxed(replace(frame, note=decided[n].end.start), high.settings.steps)
            decided[n] = decided[n].at_high(high, *_best(records))
    return decided


def _lower(found: list[_Found], tolerance_eV: float) -> LowerStructure | None:
    """The lowest structure that the high-fidelity engine has below the crystal."""
    lower = [
        LowerStructure(item.end.start, item.frame, -item.end.high_eV, item.end.moved_A or 0.0)
        for item in found
        if item.frame is not None
        and item.end.high_eV is not None
        and is_lower(item.end.high_eV, item.end.moved_A or 0.0, tolerance_eV)
    ]
    return max(lower, key=lambda item: item.below_eV, default=None)


def _write_lower(context: StudyContext, lower: LowerStructure) -> None:
    """The lower structure as a host file: its primitive cell, rid of noise, where it has any symmetry left."""
    frame = lower.frame
    cell: Any = (frame.cell_A, frame.positions_A @ np.linalg.inv(frame.cell_A), frame.numbers)
    found = spglib.standardize_cell(cell, to_primitive=True, symprec=LOOSE_A)
    lattice, fractional, numbers = cell if found is None else found
    atoms = Atoms(numbers, scaled_positions=fractional, cell=lattice, pbc=True)
    write(context.layout.lower_host, atoms, format="vasp", direct=True, sort=True)
