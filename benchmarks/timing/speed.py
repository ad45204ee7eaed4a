"""Relaxations per minute, together and one by one, on the same starts, models and limits.

A study's final committee relaxes rattled copies of a neutral vacancy in cells of several sizes. Only times
are of interest: the committee answers for sizes that it was not trained on, which a study would refuse.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from defectscape.domain.frame import Frame
from defectscape.domain.seeds import derive_seed
from defectscape.engines.processor_time import core_seconds
from defectscape.files.tables import write_json
from defectscape.model.committee import Committee
from defectscape.sampling.host import build_host, read_unit_cell
from defectscape.sampling.sites import defect_frame, enumerate_sites
from defectscape.search.relaxation import nudged, relax_all
from defectscape.settings.search import SearchSettings
from defectscape.settings.structure import SupercellSettings
from defectscape.study.committees import CommitteeSurface, load_committee
from defectscape.study.context import StudyContext

logger = logging.getLogger(__name__)

RATTLE_A = 0.1
Matrix = list[list[int]]


@dataclass(frozen=True)
class Speed:
    """One size at one batch size.

    Attributes:
        atoms: of the cell.
        batch_size: relaxations that go on together; 1 is ASE alone.
        relaxations, converged, steps: how many, and the steps of all.
        wall_s, core_s: time they took.
        per_minute: relaxations per minute of processor time, which a busy machine stretches less.
        energy_spread_eV: largest difference of a relaxation's energy from that of ASE alone.
    """

    atoms: int
    batch_size: int
    relaxations: int
    converged: int
    steps: int
    wall_s: float
    core_s: float
    per_minute: float
    energy_spread_eV: float


def measure_speed(
    context: StudyContext,
    matrices: Sequence[Matrix],
    batch_sizes: Sequence[int],
    starts: int,
    target: Path,
) -> tuple[Speed, ...]:
    """Time relaxations of a finished study's committee; JSON to ``target``.

    Args:
        context: a study with a final committee.
        matrices: supercell matrices of the study's host.
        batch_sizes: besides one by one.
        starts: relaxations of each size.
    """
    committee = load_committee(context, context.layout.final, context.study.training)
    high = context.fidelity_names[1]
    fidelity = high if high in committee.card.fidelities else committee.card.fidelities[-1]
    surface = CommitteeSurface(committee, fidelity)
    rows: list[Speed] = []
    for matrix in matrices:
        frames = _starts(context, matrix, starts)
        _allow_size(committee, len(frames[0]))
        alone: list[float] = []
        for size in (1, *batch_sizes):
            row, energies = _timed(frames, surface, context.study.search, size, alone)
            alone = alone or energies
            rows.append(row)
            logger.info("%d atoms, %d together: %.1f a minute", row.atoms, size, row.per_minute)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, rows)
    return tuple(rows)


def _allow_size(committee: Committee, atoms: int) -> None:
    """Have the models answer for cells of this size: what they say takes as long, and means nothing."""
    for network in committee.members:
        network.card = replace(network.card, sizes=(atoms,))


def _starts(context: StudyContext, matrix: Matrix, count: int) -> list[Frame]:
    """Rattled copies of the host's first vacancy, neutral."""
    supercell = SupercellSettings(matrix=matrix, min_image_distance_A=1.0)
    host = build_host(read_unit_cell(context.study.host.file), supercell)
    site = next(site for site in enumerate_sites(host) if site.kind == "vacancy")
    frame = defect_frame(host, site, 0)
    return [nudged(frame, derive_seed(context.study.seed, "speed", number), RATTLE_A) for number in range(count)]


def _timed(
    frames: Sequence[Frame],
    surface: CommitteeSurface,
    settings: SearchSettings,
    size: int,
    alone: Sequence[float],
) -> tuple[Speed, list[float]]:
    began, core = time.perf_counter(), core_seconds()
    found = relax_all(frames, surface, settings.model_copy(update={"batch_size": size}), path_frames=0)
    wall_s, core_s = time.perf_counter() - began, core_seconds() - core
    energies = [relaxation.energy_eV for relaxation in found]
    spread = float(np.max(np.abs(np.subtract(energies, alone or energies))))
    row = Speed(
        len(frames[0]),
        size,
        len(found),
        sum(r.converged for r in found),
        sum(r.steps for r in found),
        round(wall_s, 2),
        round(core_s, 2),
        60 * len(found) / core_s,
        spread,
    )
    return row, energies
