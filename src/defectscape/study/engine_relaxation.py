"""Relaxations with one of the study's engines, every step a label of the store."""

import logging
from collections.abc import Callable, Sequence

from ase.calculators.calculator import CalculationFailed
from ase.optimize import BFGS

from defectscape.domain.frame import Frame
from defectscape.engines.stored_calculator import StoredCalculator
from defectscape.files.atoms import to_atoms
from defectscape.sampling.lengths import too_close
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext

logger = logging.getLogger(__name__)

MAX_STEP_A = 0.15


def relaxation_records(
    context: StudyContext,
    fidelity: str,
    start: Frame,
    fmax_eV_A: float,
    steps: int,
    enough: Callable[[Sequence[LabelRecord]], bool] | None = None,
) -> list[LabelRecord]:
    """The records of one relaxation, from the start on; a failed label, or atoms that come too close, end it.

    Args:
        context: the study.
        fidelity: ``low`` or ``high``: whose engine relaxes.
        start: where it begins.
        fmax_eV_A: it ends below this force, eV/A.
        steps: and after so many steps.
        enough: asked after each label with all of them: whether it may end there.
    """
    limit_eV_A = context.fidelity_settings(fidelity).max_force_eV_A
    calculator = StoredCalculator(
        context.engine(fidelity), context.store, start.key, start.family, limit_eV_A, start.multiplicity
    )
    atoms = to_atoms(start)
    atoms.calc = calculator
    optimiser = BFGS(atoms, logfile=None, maxstep=MAX_STEP_A)
    try:
        for _ in optimiser.irun(fmax=fmax_eV_A, steps=steps):
            logger.info("%s, %s: step %d of at most %d", start.key, start.note, optimiser.nsteps, steps)
            if too_close(start.numbers, atoms.positions, start.cell_A, context.study.sampling.shortest_distance_A):
                logger.warning("%s, %s: atoms too close, ended", start.key, start.note)
                break
            if enough is not None and enough(calculator.records):
                break
    except CalculationFailed as error:
        logger.warning("%s", error)
    return calculator.records
