"""From finished studies and the truth about their states to ``hard.json``."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hard.results import EndRow, HardResult, StateRow, TruthRow
from benchmarks.hard.truth import StateTruth, known_truths
from benchmarks.hard.variants import HardBenchmark, Variant, base_names, truth_context, variants_of
from defectscape.domain.family import UNPERTURBED
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Relaxation
from defectscape.files.extxyz import read_labelled
from defectscape.files.tables import write_json
from defectscape.search.matching import rmsd_A
from defectscape.settings.groups import label_rounds
from defectscape.study.context import StudyContext
from defectscape.study.frames import frames_to_label, pool_frames, relaxed_minima
from defectscape.study.host import read_host, site_operations
from defectscape.study.levels import GroundState, read_levels
from defectscape.summary.file import read_summary
from defectscape.summary.schema import DefectSummary
from defectscape.tools.direct_relaxations import DirectSearch
from defectscape.tools.surfaces import EngineSurface

logger = logging.getLogger(__name__)

MEV = 1e3


@dataclass(frozen=True, eq=False)
class Reported:
    """A state of a finished study.

    Attributes:
        variant, context: the study.
        ground: its ground state.
        relaxed: that, relaxed on with the high-level engine.
        summary: what the report says of it.
    """

    variant: Variant
    context: StudyContext
    ground: GroundState
    relaxed: Relaxation
    summary: DefectSummary


def gather_hard(benchmark: HardBenchmark, scratch: Path, results: Path, target: Path) -> HardResult:
    """Compare all finished studies with the truth about their states; JSON to ``target``.

    States without a truth and studies that have not run to their summary are left out, with a line in the log.
    Ground states are relaxed on through the label store.

    Args:
        benchmark: which studies.
        scratch: folder of the benchmark's outcomes, the truths among them.
        results: folder of all studies' results.
        target: file to write.
    """
    truths: list[TruthRow] = []
    states: list[StateRow] = []
    for base in base_names(benchmark):
        study, found = truth_context(benchmark, base, scratch), known_truths(scratch, base)
        known = {key: found[key] for _, key in study.keys if key in found}
        for _, key in study.keys:
            if key not in known:
                logger.warning("%s: the truth about %s is not known yet", base, key)
        if not known:
            continue
        host = read_host(study).formula
        truths += [truth_row(host, truth) for truth in known.values()]
        for key, reported in _reported(benchmark, base, results, list(known)).items():
            states += state_rows(host, known[key], reported)
    result = HardResult(tuple(truths), tuple(states))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, result)
    return result


def truth_row(host: str, truth: StateTruth) -> TruthRow:
    """What the direct relaxations of a state say."""
    lowest_eV = truth.lowest_eV
    return TruthRow(
        host,
        str(truth.key),
        lowest_eV,
        _above_meV(_plain_eV(truth), lowest_eV),
        truth.calls,
        truth.core_s,
        tuple(
            EndRow(
                item.start.note,
                item.reason,
                item.steps,
                _finite(item.fmax_eV_A),
                _above_meV(_finite(item.energy_eV), lowest_eV),
            )
            for item in truth.relaxations
        ),
    )


def state_rows(host: str, truth: StateTruth, reported: Sequence[Reported]) -> list[StateRow]:
    """Rows of a state in all finished studies, against the lowest energy that is known of it."""
    ends = [item for item in (*truth.relaxations, *(one.relaxed for one in reported)) if item.converged]
    if not ends or truth.lowest_eV is None:
        logger.warning("%s of %s: no direct relaxation converged, so there is no truth", truth.key, host)
        return []
    lowest = min(ends, key=lambda item: item.energy_eV)
    rows = []
    for one in reported:
        found, ground = one.summary.ground, one.ground
        status = _status(one)
        rows.append(
            StateRow(
                host=host,
                seed=one.variant.seed,
                prior=one.variant.method,
                key=str(truth.key),
                status=status,
                certain=one.summary.certain,
                open=status == "open",
                error_meV=MEV * (ground.energy_eV - lowest.energy_eV),
                rmsd_A=rmsd_A(ground.frame, lowest.final, site_operations(one.context, truth.key.defect)),
                relaxed_meV=_above_meV(one.relaxed.energy_eV if one.relaxed.converged else None, lowest.energy_eV),
                direct_error_meV=MEV * (truth.lowest_eV - lowest.energy_eV),
                plain_error_meV=_above_meV(_plain_eV(truth), lowest.energy_eV),
                force_left_eV_A=None if found is None else found.engine_fmax_eV_A,
                high_labels=labels_of(one.context, one.ground.group, truth.key, "high"),
                low_labels=labels_of(one.context, one.ground.group, truth.key, "low"),
                direct_high_labels=truth.calls,
                model_error_before_meV=None if found is None else _milli(found.model_error_eV),
            )
        )
    return rows


def labels_of(context: StudyContext, group: str, key: DefectKey, fidelity: str) -> int:
    """How many structures of a state were given to a level's engine, in all rounds and in verification."""
    frames: list[Frame] = []
    for number in label_rounds(context.study, fidelity, context.study.exploration.rounds):
        if fidelity == "high" or number > 0:
            frames += frames_to_label(context, group, fidelity, number)
        if fidelity == "low":
            frames += relaxed_minima(context, group, number) if number else pool_frames(context, group)
    if fidelity == "high":
        name = context.fidelity_settings("high").name
        verified = read_labelled(context.layout.group(group).verified_labels(key), name)
        frames += [item.frame for item in verified]
    return len({frame.frame_id for frame in frames if frame.key == key})


def _reported(
    benchmark: HardBenchmark, base: str, results: Path, keys: Sequence[DefectKey]
) -> dict[DefectKey, list[Reported]]:
    """The finished studies of a host, state by state."""
    found: dict[DefectKey, list[Reported]] = {key: [] for key in keys}
    for variant, context in _finished(benchmark, base, results):
        rows = {row.key: row for row in read_summary(context).defects}
        for ground in read_levels(context).ground_states:
            if ground.key in found:
                surface = EngineSurface(context, "high", ground.key.defect)
                (relaxed,) = DirectSearch().relax([ground.frame], surface, context.study.search)
                row = rows[str(ground.key)]
                found[ground.key].append(Reported(variant, context, ground, relaxed, row))
    return found


def _finished(benchmark: HardBenchmark, base: str, results: Path) -> Iterator[tuple[Variant, StudyContext]]:
    for variant in variants_of(benchmark):
        if variant.base != base:
            continue
        context = variant.context(benchmark.label_store, results)
        if context.layout.summary.is_file():
            yield variant, context
        else:
            logger.warning("%s has not run to its summary", variant.name)


def _status(one: Reported) -> str:
    """The report's word; of a summary without one, what follows from what it says."""
    word = getattr(one.summary, "status", None)
    if word is not None:
        return str(word)
    if one.summary.certain:
        return "certain"
    left = None if one.summary.ground is None else one.summary.ground.engine_fmax_eV_A
    relaxed = left is not None and left <= one.context.study.verification.fmax_eV_A
    return "verified" if relaxed else "open"


def _plain_eV(truth: StateTruth) -> float | None:
    found = [item for item in truth.relaxations if item.start.note == UNPERTURBED and item.converged]
    return found[0].energy_eV if found else None


def _above_meV(energy_eV: float | None, lowest_eV: float | None) -> float | None:
    return None if energy_eV is None or lowest_eV is None else MEV * (energy_eV - lowest_eV)


def _milli(value: float | None) -> float | None:
    return None if value is None else MEV * value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
