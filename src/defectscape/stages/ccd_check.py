"""What the high-fidelity engine says of points along the configuration-coordinate diagrams."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from defectscape.domain.frame import Floats, Frame
from defectscape.study.context import StudyContext
from defectscape.study.diagrams import CurveCheck, DiagramCheck, read_diagrams, write_diagram_checks
from defectscape.thermo.path import check_order

logger = logging.getLogger(__name__)


def check_diagrams(context: StudyContext) -> None:
    """Label the points that ``ccd.engine_points`` asks for, and write them beside the model's."""
    count = context.study.ccd.engine_points
    checks: list[DiagramCheck] = []
    for diagram in read_diagrams(context) if count else ():
        ccd = diagram.ccd
        if ccd is None:
            continue
        fractions = ccd.path.fractions
        start, end = (int(np.flatnonzero(fractions == value)[0]) for value in (0.0, 1.0))
        initial = _check(
            context,
            _as_found(ccd.path.frames_initial, end, diagram.final_ground),
            ccd.energies_initial_eV,
            check_order(fractions, start, end)[:count],
        )
        final = _check(
            context,
            _as_found(ccd.path.frames_final, end, diagram.final_ground),
            ccd.energies_final_eV - ccd.dE_eV,
            check_order(fractions, end, start)[:count],
        )
        checks.append(DiagramCheck(initial, final))
    write_diagram_checks(context, checks)


def _as_found(frames: Sequence[Frame], end: int, ground: Frame | None) -> list[Frame]:
    """The frames of a curve with the final ground state where verification left it.

    The path has an image of it: its energy is the same, but its label would be computed again. In this place its labels
    are those of verification, of other charges' diagrams, and of charge states that were given its geometry.
    """
    found = list(frames)
    if ground is not None:
        found[end] = replace(ground, key=frames[end].key, multiplicity=frames[end].multiplicity)
    return found


def _check(context: StudyContext, frames: Sequence[Frame], model_eV: Floats, points: Sequence[int]) -> CurveCheck:
    """Engine and model at some points of a curve, the first of which is its ground state."""
    key = frames[0].key
    records = context.label_many([frames[point] for point in points], "high", f"{key} along its path")
    labels = {point: record.label for point, record in zip(points, records, strict=True) if record.label is not None}
    zero = labels.get(points[0])
    if zero is None:
        logger.warning("%s: no label at its ground state, so nothing is compared", key)
        labels = {}
    kept = sorted(labels)
    return CurveCheck(
        str(key),
        points[0],
        tuple(kept),
        tuple(labels[point].energy_eV - zero.energy_eV for point in kept) if zero else (),
        tuple(float(model_eV[point] - model_eV[points[0]]) for point in kept),
        sum(record.core_s for record in records),
        len(points) - len(kept),
    )
