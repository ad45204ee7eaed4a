"""Summary stage: one machine-readable file from all results, and the structures of all minima."""

import logging
import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from ase.io import write

from defectscape.domain.keys import DefectKey
from defectscape.domain.label import LabelledFrame
from defectscape.domain.minimum import Minimum, Relaxation, VerifiedMinimum
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.atoms import to_atoms
from defectscape.files.extxyz import write_frames
from defectscape.files.tables import load_host_file, load_minima, load_relaxations, load_sites
from defectscape.files.text import write_text
from defectscape.report.summary import (
    DefectSummary,
    EquilibriumRow,
    HostSummary,
    LevelGapRow,
    LevelSummary,
    SearchPoint,
    StateConcentrationRow,
    Summary,
)
from defectscape.sampling.sites import pick_site
from defectscape.search.certainty import judge
from defectscape.settings.groups import Group, exploration_groups
from defectscape.stages import ledger, provenance, times, trust
from defectscape.stages.calibration import (
    calibration_rows,
    level_tests,
    scale_of,
)
from defectscape.stages.captures import capture_rows
from defectscape.stages.context import StudyContext
from defectscape.stages.ground_states import GroundState
from defectscape.stages.labels import lowest_known
from defectscape.stages.level_gap import study_gaps
from defectscape.stages.minimum_rows import gain_over_plain, geometry_name, minimum_rows
from defectscape.stages.thermo import Levels, read_levels
from defectscape.stages.verification import read_verified
from defectscape.thermo.concentrations import Equilibrium

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Searched:
    """What the searches of a group left, read once for all that is said of it."""

    minima: tuple[Minimum, ...]
    relaxations: tuple[Relaxation, ...]
    verified: dict[DefectKey, tuple[VerifiedMinimum, ...]]
    lowest_known: dict[DefectKey, LabelledFrame]

    @classmethod
    def read(cls, context: StudyContext, group: Group) -> "_Searched":
        files = context.layout.group(group.name)
        verified = {key: read_verified(context, group.name, key) for key in group.keys}
        known = lowest_known(context, group.name, context.study.exploration.rounds)
        return cls(load_minima(files.minima), load_relaxations(files.relaxations), verified, known)


def _defects(
    context: StudyContext, groups: Sequence[_Searched], found: Levels
) -> list[DefectSummary]:
    host, sites = load_host_file(context.layout.host), load_sites(context.layout.sites)
    grounds = {state.key: state for state in found.ground_states}
    rows = []
    for searched in groups:
        for key in searched.verified:
            if key in grounds:
                site = pick_site(sites, key.defect)
                rows.append(_defect(context, searched, host, site, found, grounds[key]))
    return rows


def _defect(
    context: StudyContext, searched: _Searched, host: HostCrystal, site: DefectSite, found: Levels,
    ground: GroundState,
) -> DefectSummary:  # fmt: skip
    key = ground.key
    minima = tuple(m for m in searched.minima if m.frame.key == key)
    relaxations = tuple(r for r in searched.relaxations if r.start.key == key)
    verified = {item.minimum.rank: item for item in searched.verified[key]}
    tolerance_A = context.study.minima.symmetry_tolerance_A
    scale = scale_of(context, "within")
    rows = minimum_rows(minima, verified, host, site, tolerance_A, scale)
    best = next(row for row in rows if row.rank == ground.rank)
    formation = [energy for energy in found.formation if energy.key == key]
    gain_eV, gain_verified = gain_over_plain(rows, relaxations, minima[0].energy_eV, ground.rank)
    failed = [relaxation for relaxation in relaxations if not relaxation.converged]
    tolerance_eV = context.study.verification.tolerance_eV
    known = searched.lowest_known.get(key)
    known_eV = known.label.energy_eV if known else math.inf
    verdict = judge(minima, tuple(verified.values()), tolerance_eV, known_eV)
    return DefectSummary(
        key=str(key),
        defect=key.defect,
        charge=key.charge,
        site_frac=list(site.frac_coords),
        ground_state_rank=ground.rank,
        verified=ground.verified,
        certain=verdict.certain,
        certainty=verdict.text,
        energy_eV=ground.energy_eV,
        uncertainty_eV=ground.uncertainty_eV,
        uncertainty_origin=ground.uncertainty_origin,
        formation_energy_eV={energy.limit: energy.energy_eV for energy in formation},
        correction_eV=formation[0].correction_eV,
        correction_label=formation[0].correction_label,
        verified_energy_eV=best.verified_energy_eV,
        model_error_eV=best.model_error_eV,
        gain_over_unperturbed_eV=gain_eV,
        gain_verified=gain_verified,
        point_group=best.point_group,
        distortion=best.distortion,
        geometry_file=best.geometry_file,
        distinct_minima=len(minima),
        relaxations=len(relaxations),
        relaxations_failed=len(failed),
        failure_reasons=dict(Counter(relaxation.reason for relaxation in failed)),
        minima=rows,
    )


def _search_points(groups: Sequence[_Searched]) -> list[SearchPoint]:
    points = []
    for searched in groups:
        lowest = {m.frame.key: m.energy_eV for m in searched.minima if m.rank == 0}
        for relaxation in searched.relaxations:
            key = relaxation.start.key
            if key in lowest and np.isfinite(relaxation.energy_eV):
                points.append(
                    SearchPoint(
                        key=str(key),
                        start=relaxation.start.note,
                        energy_above_lowest_eV=relaxation.energy_eV - lowest[key],
                        converged=relaxation.converged,
                        reason=relaxation.reason,
                    )
                )
    return points


def _host(context: StudyContext, found: Levels) -> HostSummary:
    host = load_host_file(context.layout.host)
    return HostSummary(
        formula=host.formula,
        spacegroup=host.spacegroup,
        lattice_A=np.linalg.norm(host.unit_cell_A, axis=1).tolist(),
        atoms=len(host.numbers),
        min_image_distance_A=host.min_image_distance_A,
        energy_eV=found.host.bulk_energy_eV,
        vbm_eV=found.host.vbm_eV,
        gap_eV=found.host.gap_eV,
        relaxed=context.study.host.relax,
    )


def _levels(found: Levels) -> list[LevelSummary]:
    return [
        LevelSummary(
            defect=level.defect,
            upper_charge=level.upper,
            lower_charge=level.lower,
            level_eV=level.level_eV,
            uncertainty_eV=level.uncertainty_eV,
            stable=level.stable,
            in_gap=level.in_gap,
        )
        for level in found.levels
    ]


def _equilibrium(found: Equilibrium) -> EquilibriumRow:
    states = [
        StateConcentrationRow(
            defect=state.key.defect, charge=state.key.charge, annealing_cm3=state.annealing_cm3,
            operating_cm3=state.operating_cm3, operating_std_log10=state.operating_std_log10,
        )
        for state in found.states
    ]  # fmt: skip
    numbers = {f.name: getattr(found, f.name) for f in fields(found) if f.name != "states"}
    return EquilibriumRow(**numbers, states=states)


def _write_structures(context: StudyContext, groups: Sequence[_Searched]) -> None:
    """POSCARs and one extended XYZ file of all minima, the verified geometry where there is one."""
    folder = context.layout.minima_folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    frames = []
    for searched in groups:
        verified = {
            (key, item.minimum.rank): item.frame
            for key, items in searched.verified.items()
            for item in items
            if item.final_label is not None
        }
        for minimum in searched.minima:
            key = minimum.frame.key
            frame = verified.get((key, minimum.rank), minimum.frame)
            frames.append(frame)
            path = context.layout.folder / geometry_name(key, minimum.rank)
            write(path, to_atoms(frame), format="vasp", direct=True, sort=True)
            _title(path, f"{key} minimum {minimum.rank}, total charge {key.charge:+d} e")
    write_frames(context.layout.minima_extxyz, frames)


def _title(path: Path, text: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([text, *lines[1:]]) + "\n", encoding="utf-8")


def write_summary(context: StudyContext) -> None:
    """Write ``summary.json`` and the structures."""
    found = read_levels(context.layout.energies)
    groups = [_Searched.read(context, group) for group in exploration_groups(context.study)]
    defects = _defects(context, groups, found)
    low, high = (provenance.level_of_theory(context, level) for level in ("low", "high"))
    jobs = times.read_jobs(context)
    levels, diagrams = _levels(found), trust.diagrams(context)
    summary = Summary(
        study=context.study.study,
        low=low,
        high=high,
        host=_host(context, found),
        chemical_potentials_eV={limit.name: dict(limit.relative_eV) for limit in found.limits},
        defects=defects,
        levels=levels,
        equilibria=[_equilibrium(row) for row in found.equilibria],
        errors=trust.error_rows(context),
        parity=trust.parity(context),
        level_gaps=[LevelGapRow(**asdict(gap)) for gap in study_gaps(context)],
        calibration=calibration_rows(context),
        level_tests=level_tests(context),
        search=_search_points(groups),
        ccd=diagrams,
        capture=capture_rows(context.study.ccd.capture, diagrams, levels, found.host.gap_eV),
        cost=ledger.label_costs(context),
        jobs=times.rule_times(jobs),
        overhead=times.overhead(context, jobs),
        training=trust.training_curves(context),
        gates=trust.gate_rows(context),
        warnings=provenance.warnings(context, defects, found),
        model_files=[
            str(context.layout.final.model(m).relative_to(context.layout.folder))
            for m in range(context.study.training.committee)
        ],
        provenance=provenance.provenance(context),
    )
    _write_structures(context, groups)
    write_text(context.layout.summary, summary.model_dump_json(indent=1) + "\n")
