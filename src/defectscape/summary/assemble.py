"""The summary, put together from all results of a study."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields

import numpy as np

from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.codec import encode
from defectscape.model.calibration import SAME_CHARGE
from defectscape.sampling.pairs import partner_distance_A
from defectscape.sampling.site_names import pick_site
from defectscape.search.far_atoms import far_atoms
from defectscape.study.context import StudyContext
from defectscape.study.host import read_host, read_sites
from defectscape.study.levels import GroundState, Levels, read_levels
from defectscape.summary import cost, model, prior, provenance
from defectscape.summary.calibration import calibration_rows, level_tests, scale_of
from defectscape.summary.ccd import capture_rows, diagrams
from defectscape.summary.fidelity_difference import study_differences
from defectscape.summary.host_stability import host_test
from defectscape.summary.minima import gain_over_plain, minimum_rows
from defectscape.summary.schema import (
    BindingSummary,
    DefectSummary,
    EquilibriumRow,
    FarAtomsRow,
    FidelityDifferenceRow,
    HostSummary,
    LevelSummary,
    SearchPoint,
    StateConcentrationRow,
    Summary,
    UnfinishedRow,
)
from defectscape.summary.searched import Searched, found_structures
from defectscape.summary.spins import spin_rows
from defectscape.thermo.concentrations import Equilibrium
from defectscape.thermo.formation import binding_energies


def _defects(context: StudyContext, groups: Sequence[Searched], found: Levels) -> list[DefectSummary]:
    host, sites = read_host(context), read_sites(context)
    grounds = {state.key: state for state in found.ground_states}
    told = found_structures(context, {key: state.frame for key, state in grounds.items()})
    rows = []
    for searched in groups:
        for key in searched.verified:
            if key in grounds:
                site = pick_site(sites, key.defect)
                row = _defect(context, searched, host, site, found, grounds[key])
                rows.append(row.model_copy(update={"found": told[key]}))
    return rows


def _defect(
    context: StudyContext, searched: Searched, host: HostCrystal, site: DefectSite, found: Levels, ground: GroundState
) -> DefectSummary:
    key = ground.key
    minima = tuple(m for m in searched.minima if m.frame.key == key)
    relaxations = tuple(r for r in searched.relaxations if r.start.key == key)
    verified = {item.minimum.rank: item for item in searched.verified[key]}
    tolerance_A = context.study.minima.symmetry_tolerance_A
    scale = scale_of(context, SAME_CHARGE)
    rows = minimum_rows(minima, verified, host, site, tolerance_A, scale)
    best = next(row for row in rows if row.rank == ground.rank)
    formation = [energy for energy in found.formation if energy.key == key]
    gain_eV, gain_verified = gain_over_plain(rows, relaxations, minima[0].energy_eV, ground.rank)
    failed = [relaxation for relaxation in relaxations if not relaxation.converged]
    tolerance_eV = context.study.verification.tolerance_eV
    assessment = searched.assessments[key].within(ground.uncertainty_eV, tolerance_eV)
    return DefectSummary(
        key=str(key),
        defect=key.defect,
        charge=key.charge,
        multiplicity=ground.frame.multiplicity,
        site_frac=list(site.frac_coords),
        ground_state_rank=ground.rank,
        verified=ground.verified,
        status=assessment.status,
        certain=assessment.certain,
        certainty=assessment.text,
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
        far=FarAtomsRow(**asdict(far_atoms(host, ground.frame, site))),
        distinct_minima=len(minima),
        relaxations=len(relaxations),
        relaxations_failed=len(failed),
        failure_reasons=dict(Counter(relaxation.reason for relaxation in failed)),
        starts_tried=searched.tried_row(key),
        minima=rows,
    )


def _search_points(groups: Sequence[Searched]) -> list[SearchPoint]:
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
    host = read_host(context)
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
        test=host_test(context),
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


def _binding(context: StudyContext, found: Levels) -> list[BindingSummary]:
    """Binding energies of pairs, which are the same in every limit."""
    host, sites = read_host(context), read_sites(context)
    limit = found.limits[0].name
    energies = [energy for energy in found.formation if energy.limit == limit]
    named = {site.name: site for site in sites}
    return [
        BindingSummary(
            defect=row.key.defect,
            charge=row.key.charge,
            distance_A=partner_distance_A(host, named[row.key.defect]),
            orientations=named[row.key.defect].orientations,
            multiplicity=named[row.key.defect].multiplicity,
            energy_eV=row.energy_eV,
            uncertainty_eV=row.uncertainty_eV,
            partners=[str(key) for key in row.partners],
            verified=row.verified,
            reason=row.reason,
        )
        for row in binding_energies(energies, sites)
    ]


def _equilibrium(found: Equilibrium) -> EquilibriumRow:
    states = [
        StateConcentrationRow(
            defect=state.key.defect,
            charge=state.key.charge,
            annealing_cm3=state.annealing_cm3,
            operating_cm3=state.operating_cm3,
            operating_std_log10=state.operating_std_log10 if np.isfinite(state.operating_std_log10) else None,
        )
        for state in found.states
    ]
    numbers = {f.name: getattr(found, f.name) for f in fields(found) if f.name != "states"}
    return EquilibriumRow(**numbers, states=states)


def make_summary(context: StudyContext, groups: Sequence[Searched]) -> Summary:
    """Put together everything that the study found.

    Args:
        context: a study whose stages before the summary have run.
        groups: what its searches left.
    """
    found = read_levels(context)
    defects = _defects(context, groups, found)
    low, high = (provenance.level_of_theory(context, name) for name in ("low", "high"))
    under = prior.prior_summary(context)
    jobs = cost.read_jobs(context)
    levels, ccd = _levels(found), diagrams(context)
    return Summary(
        study=context.study.study,
        low=low,
        high=high,
        prior=under,
        host=_host(context, found),
        chemical_potentials_eV={limit.name: dict(limit.relative_eV) for limit in found.limits},
        defects=defects,
        levels=levels,
        binding=_binding(context, found),
        spins=spin_rows(context, found.levels),
        equilibria=[_equilibrium(row) for row in found.equilibria],
        errors=model.error_rows(context),
        parity=model.parity(context),
        level_gaps=[FidelityDifferenceRow(**asdict(gap)) for gap in study_differences(context)],
        calibration=calibration_rows(context),
        level_tests=level_tests(context),
        search=_search_points(groups),
        ccd=ccd,
        capture=capture_rows(context.study.ccd.capture, ccd, levels, found.host.gap_eV),
        cost=[*cost.label_costs(context), *prior.cost_rows(under)],
        jobs=cost.rule_times(jobs),
        overhead=cost.overhead(context, jobs),
        training=model.training_curves(context),
        gates=model.gate_rows(context),
        warnings=provenance.warnings(context, defects, found),
        model_files=[
            str(context.layout.final.model(m).relative_to(context.layout.together))
            for m in range(context.study.training.committee)
        ],
        provenance=provenance.provenance(context),
        unfinished=[UnfinishedRow(**encode(item) | {"keys": list(map(str, item.keys))}) for item in context.unfinished],
    )
