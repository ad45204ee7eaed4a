"""Summary stage: one machine-readable file from all results, and the structures of all minima."""

import logging
import shutil
from collections import Counter
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from ase.io import write

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Minimum, Relaxation, VerifiedMinimum
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.atoms import to_atoms
from defectscape.files.extxyz import write_frames
from defectscape.files.tables import load_host_file, load_minima, load_relaxations, load_sites
from defectscape.model.calibration import Scale
from defectscape.report.summary import (
    DefectSummary,
    EquilibriumRow,
    HostSummary,
    LevelGapRow,
    LevelSummary,
    MinimumSummary,
    SearchPoint,
    StateConcentrationRow,
    Summary,
)
from defectscape.sampling.sites import defect_frame, pick_site
from defectscape.search.certainty import judge
from defectscape.search.description import describe
from defectscape.search.symmetry import lowering, orientations, point_group
from defectscape.settings.groups import Group, exploration_groups
from defectscape.stages import ledger, provenance, times, trust
from defectscape.stages.calibration import (
    calibration_rows,
    level_tests,
    relative_bar_eV,
    scale_of,
)
from defectscape.stages.context import StudyContext
from defectscape.stages.level_gap import study_gaps
from defectscape.stages.search import UNPERTURBED
from defectscape.stages.thermo import GroundState, Levels, read_levels
from defectscape.stages.verification import read_verified, verified_energy_eV
from defectscape.thermo.concentrations import Equilibrium

logger = logging.getLogger(__name__)


def geometry_name(key: DefectKey, rank: int) -> str:
    """POSCAR of a minimum, relative to the study's folder."""
    return f"minima/{key}_min{rank}.vasp"


def _std(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _minimum_rows(
    minima: tuple[Minimum, ...], verified: dict[int, VerifiedMinimum], reference: HostCrystal,
    site: DefectSite, tolerance_A: float, scale: Scale | None,
) -> list[MinimumSummary]:  # fmt: skip
    lowest = np.array(minima[0].member_energies_eV)
    best_eV = min((verified_energy_eV(item) for item in verified.values()), default=np.inf)
    rows = []
    for minimum in minima:
        item = verified.get(minimum.rank)
        label = item.final_label if item else None
        frame = item.frame if item and label else minimum.frame
        unrelaxed = defect_frame(reference, site, frame.charge)
        site_group, group = (point_group(f, tolerance_A) for f in (unrelaxed, frame))
        rows.append(
            MinimumSummary(
                rank=minimum.rank,
                energy_above_lowest_eV=minimum.energy_eV - minima[0].energy_eV,
                committee_std_eV=_std(np.array(minimum.member_energies_eV) - lowest),
                committee_bar_eV=relative_bar_eV(scale, minimum, minima[0]),
                verified_above_lowest_eV=label.energy_eV - best_eV if label else None,
                verified_energy_eV=label.energy_eV if label else None,
                model_error_eV=item.model_error_eV if item else None,
                engine_fmax_eV_A=label.fmax_eV_A if label else None,
                relax_steps=item.relax_steps if item else 0,
                point_group=group,
                orientations=orientations(site_group, group),
                distortion=_in_words(frame, unrelaxed, site, lowering(site_group, group)),
                found_from=list(minimum.found_from),
                from_unperturbed=minimum.from_unperturbed,
                geometry_file=geometry_name(frame.key, minimum.rank),
            )
        )
    return rows


def _in_words(frame: Frame, unrelaxed: Frame, site: DefectSite, lowered: str) -> str:
    """The dominant distortion; what has a name of its own needs no group theory."""
    words = describe(frame, unrelaxed, site.frac_coords)
    if lowered and words.startswith(("breathing", "distorted")):
        return f"{lowered}, {words}"
    return words


def _gain(
    rows: list[MinimumSummary], relaxations: tuple[Relaxation, ...], lowest_eV: float, ground: int
) -> tuple[float | None, bool]:
    """How far the unperturbed relaxation ends above the ground state, eV, and whether by engine."""
    best = next(row for row in rows if row.rank == ground)
    for row in rows:
        if row.from_unperturbed:
            if row.verified_energy_eV is not None and best.verified_energy_eV is not None:
                return row.verified_energy_eV - best.verified_energy_eV, True
            return row.energy_above_lowest_eV - best.energy_above_lowest_eV, False
    for relaxation in relaxations:
        if relaxation.start.note == UNPERTURBED and relaxation.converged:
            # Above the window of listed minima.
            return relaxation.energy_eV - lowest_eV - best.energy_above_lowest_eV, False
    return None, False


def _defect(
    context: StudyContext, group: Group, key: DefectKey, found: Levels, ground: GroundState
) -> DefectSummary:
    files = context.layout.group(group.name)
    host = load_host_file(context.layout.host)
    site = pick_site(load_sites(context.layout.sites), key.defect)
    minima = tuple(m for m in load_minima(files.minima) if m.frame.key == key)
    relaxations = tuple(r for r in load_relaxations(files.relaxations) if r.start.key == key)
    verified = {item.minimum.rank: item for item in read_verified(context, group.name, key)}
    tolerance_A = context.study.minima.symmetry_tolerance_A
    scale = scale_of(context, "within")
    rows = _minimum_rows(minima, verified, host, site, tolerance_A, scale)
    best = next(row for row in rows if row.rank == ground.rank)
    formation = [energy for energy in found.formation if energy.key == key]
    gain_eV, gain_verified = _gain(rows, relaxations, minima[0].energy_eV, ground.rank)
    failed = [relaxation for relaxation in relaxations if not relaxation.converged]
    tolerance_eV = context.study.verification.tolerance_eV
    verdict = judge(minima, tuple(verified.values()), tolerance_eV)
    return DefectSummary(
        key=str(key),
        defect=key.defect,
        charge=key.charge,
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


def _search_points(context: StudyContext) -> list[SearchPoint]:
    points = []
    for group in exploration_groups(context.study):
        files = context.layout.group(group.name)
        lowest = {m.frame.key: m.energy_eV for m in load_minima(files.minima) if m.rank == 0}
        for relaxation in load_relaxations(files.relaxations):
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


def _write_structures(context: StudyContext) -> None:
    """POSCARs and one extended XYZ file of all minima, the verified geometry where there is one."""
    folder = context.layout.minima_folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    frames = []
    for group in exploration_groups(context.study):
        verified = {
            (key, item.minimum.rank): item.frame
            for key in group.keys
            for item in read_verified(context, group.name, key)
            if item.final_label is not None
        }
        for minimum in load_minima(context.layout.group(group.name).minima):
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
    grounds = {state.key: state for state in found.ground_states}
    defects = [
        _defect(context, group, key, found, grounds[key])
        for group in exploration_groups(context.study)
        for key in group.keys
        if key in grounds
    ]
    low, high = (provenance.level_of_theory(context, level) for level in ("low", "high"))
    jobs = times.read_jobs(context)
    summary = Summary(
        study=context.study.study,
        low=low,
        high=high,
        host=_host(context, found),
        chemical_potentials_eV={limit.name: dict(limit.relative_eV) for limit in found.limits},
        defects=defects,
        levels=_levels(found),
        equilibria=[_equilibrium(row) for row in found.equilibria],
        errors=trust.error_rows(context),
        parity=trust.parity(context),
        level_gaps=[LevelGapRow(**asdict(gap)) for gap in study_gaps(context)],
        calibration=calibration_rows(context),
        level_tests=level_tests(context),
        search=_search_points(context),
        ccd=trust.diagrams(context),
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
    _write_structures(context)
    context.layout.summary.write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8")
