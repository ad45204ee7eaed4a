"""Low-fidelity relaxations of a few starts: every step is a label, and a frame of the pool."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from ase.calculators.calculator import CalculationFailed
from ase.optimize import BFGS

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.engines.stored_calculator import StoredCalculator
from defectscape.files.atoms import to_atoms
from defectscape.sampling.lengths import too_close
from defectscape.sampling.splits import starts_to_relax
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext
from defectscape.study.frames import read_starts
from defectscape.study.labels import write_relaxed
from defectscape.study.splits import read_splits

logger = logging.getLogger(__name__)

MAX_STEP_A = 0.15


def relax_starts(context: StudyContext, name: str, key: DefectKey) -> None:
    """Relax some starts of one key with the low-fidelity engine and keep every step."""
    files = context.layout.group(name)
    starts = [frame for frame in read_starts(context, name) if frame.key == key]
    settings = context.study.sampling
    chosen = starts_to_relax(starts, read_splits(context, name), settings.relaxed_starts, context.study.seed)
    records = [record for start in chosen for record in _relax(context, start)]
    write_relaxed(records, files.relaxed(key), files.relaxed_outcomes(key))


def _relax(context: StudyContext, start: Frame) -> Iterator[LabelRecord]:
    """The records of one relaxation, from the start on; a failed label ends it."""
    fidelity_settings, settings = context.fidelity_settings("low"), context.study.sampling
    calculator = StoredCalculator(
        context.engine("low"),
        context.store,
        start.key,
        start.family,
        fidelity_settings.max_force_eV_A,
        start.multiplicity,
    )
    atoms = to_atoms(start)
    atoms.calc = calculator
    optimiser = BFGS(atoms, logfile=None, maxstep=MAX_STEP_A)
    try:
        for _ in optimiser.irun(fmax=settings.relaxation_fmax_eV_A, steps=settings.relaxation_steps):
            logger.info(
                "%s, %s: step %d of at most %d", start.key, start.note, optimiser.nsteps, settings.relaxation_steps
            )
            if too_close(start.numbers, atoms.positions, start.cell_A, settings.shortest_distance_A):
                logger.warning("%s, %s: atoms too close, ended", start.key, start.note)
                break
    except CalculationFailed as error:
        logger.warning("%s", error)
    for step, record in enumerate(calculator.records):
        frame = (
            start
            if step == 0
            else replace(
                record.frame,
                origin=Origin.RELAXATION,
                parent=start.frame_id,
                note=f"{start.note}, {fidelity_settings.name} relaxation step {step}",
            )
        )
        yield replace(record, frame=frame)
