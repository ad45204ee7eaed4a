"""Where the numbers come from, and what the reader must know before using them."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from defectscape import __version__
from defectscape.domain.keys import DefectKey
from defectscape.engines.charge_check import charge_blind_lines
from defectscape.sampling.dopants import unbounded_dopants, unbounded_line
from defectscape.settings.load import full_yaml
from defectscape.settings.study import Study
from defectscape.study.context import StudyContext
from defectscape.study.diagrams import read_diagrams
from defectscape.study.evaluation import read_errors
from defectscape.study.host import dopants_of, read_host
from defectscape.study.labels import read_jumps
from defectscape.study.levels import Levels
from defectscape.study.minima import ground_state, read_verified
from defectscape.study.references import read_references
from defectscape.summary.ccd import diagrams
from defectscape.summary.host_stability import far_lines, stability_lines
from defectscape.summary.schema import DefectSummary, LevelOfTheory, Provenance
from defectscape.summary.spins import spin_lines
from defectscape.thermo.chempots import composition
from defectscape.thermo.levels import host_state_suspicion

PACKAGES = (
    "ase",
    "doped",
    "dscribe",
    "e3nn",
    "hiphive",
    "mace-torch",
    "numpy",
    "pymatgen",
    "scipy",
    "shakenbreak",
    "snakemake",
    "spglib",
    "tblite",
    "torch",
)

LARGE_MODEL_ERROR_EV = 0.1

FALLEN_EV = 0.02


def level_of_theory(context: StudyContext, fidelity: str) -> LevelOfTheory:
    """One fidelity as it was really used."""
    fidelity_settings = context.fidelity_settings(fidelity)
    engine = context.engine(fidelity)
    return LevelOfTheory(
        name=fidelity_settings.name,
        engine=fidelity_settings.engine.kind,
        method=fidelity_settings.engine.method,
        settings=engine.settings_json,
        engine_versions=[read_references(context).bulk(fidelity).engine_version],
    )


def provenance(context: StudyContext) -> Provenance:
    """Versions, configuration and digest."""
    config = full_yaml(context.study)
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return Provenance(
        defectscape=__version__,
        packages=packages,
        config=config,
        config_sha256=hashlib.sha256(config.encode()).hexdigest(),
        seed=context.study.seed,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def warnings(context: StudyContext, defects: list[DefectSummary], found: Levels) -> list[str]:
    """What limits the numbers, the gravest first."""
    lines = []
    kind = context.study.thermo.correction.kind
    if kind == "none":
        lines.append("No finite-size correction was applied to charged states, as configured.")
    elif kind == "point_charge":
        lines.append(
            "Charged states carry a point-charge correction without potential alignment; "
            f"images are {found_distance(context):.1f} A apart."
        )
    lines += stability_lines(context)
    lines += far_lines(defects, context.study.verification.tolerance_eV)
    lines += charge_blind_lines(context.study.fidelities)
    lines += _unbounded(context)
    lines += _stated(context.study)
    lines += spin_lines(context, found.levels)
    lines += [
        f"{row.key}: the ground state is not verified by the high-fidelity engine."
        for row in defects
        if not row.verified
    ]
    lines += [
        f"{row.key}: the model was {1e3 * abs(row.model_error_eV):.0f} meV off on the ground state "
        "before it saw it; the energy given is the engine's."
        for row in defects
        if row.model_error_eV is not None and abs(row.model_error_eV) > LARGE_MODEL_ERROR_EV
    ]
    lines += found.warnings
    lines += at_limit(defects)
    lines += unrelaxed(defects, context.study.verification.fmax_eV_A)
    lines += _host_states(context)
    lines += _jumps(context)
    lines += _gaps(context, defects)
    outside = [level for level in found.levels if not level.in_gap]
    if outside:
        names = ", ".join(f"{level.defect} {level.label}" for level in outside)
        lines.append(f"Levels outside the band gap, where a supercell gives no bound state: {names}.")
    return lines


def _unbounded(context: StudyContext) -> list[str]:
    """Dopants whose solubility limit is that of their element."""
    if context.study.thermo.chemical_potentials is not None:
        return []
    phases = [composition(np.array(phase.numbers)) for phase in read_references(context).phases]
    line = unbounded_line(unbounded_dopants(dopants_of(context.study, read_host(context)), phases))
    return [] if line is None else [f"{line[0].upper()}{line[1:]}."]


def _stated(study: Study) -> list[str]:
    """What the study says of its electrons and energies, and nothing here has computed."""
    lines = []
    if study.host.ferromagnet is not None:
        lines.append(
            f"The perfect crystal is a ferromagnet of {study.host.ferromagnet - 1} parallel electrons in the supercell "
            "because the study states it (host.multiplicity); no other order was tried."
        )
    elif study.host.multiplicity is not None:
        lines.append("All electrons of the perfect crystal are paired because the study states it (host.multiplicity).")
    for name, reference in {**study.thermo.elemental_references, **study.thermo.competing_phases}.items():
        if reference.energy_eV_per_atom is not None:
            value_eV = reference.energy_eV_per_atom
            lines.append(f"{name}: the energy, {value_eV:.4f} eV per atom, is stated, from {reference.source}.")
        elif reference.multiplicity is not None:
            lines.append(f"{name}: the multiplicity, {reference.multiplicity}, is stated by the study.")
    return lines


def unrelaxed(defects: Sequence[DefectSummary], fmax_eV_A: float) -> list[str]:
    """Verified ground states on which the engine's forces are still above ``fmax_eV_A``: one line, or none."""
    found = [
        f"{row.key} ({row.ground.engine_fmax_eV_A:.2f} eV/A)"
        for row in defects
        if row.verified and row.ground and (row.ground.engine_fmax_eV_A or 0.0) > fmax_eV_A
    ]
    if not found:
        return []
    return [
        f"The engine's largest force at the ground state is above {fmax_eV_A:g} eV/A, so that the energy is an "
        f"upper bound: {', '.join(found)}. More steps (verification.relax_steps) bring it down."
    ]


def at_limit(defects: Sequence[DefectSummary]) -> list[str]:
    """Searches that ended while further starts still brought new low minima: one line, or none."""
    found = [
        f"{row.key} ({row.starts_tried.further} further starts, the last new minimum from the one numbered "
        f"{row.starts_tried.last_new})"
        for row in defects
        if row.starts_tried is not None and not row.starts_tried.rested
    ]
    if not found:
        return []
    return [
        f"The search ended at its limit and not because nothing new came: {', '.join(found)}. More starts "
        "(search.until_nothing_new.at_most) may bring lower minima."
    ]


def _host_states(context: StudyContext) -> list[str]:
    """Ground states whose charge may sit in the host's bands."""
    bulk = read_references(context).bulk_high
    if bulk.vbm_eV is None or bulk.cbm_eV is None:
        return []
    lines = []
    for group, key in context.keys:
        items = [item for item in read_verified(context, group.name, key) if item.final_label]
        label = ground_state(items).final_label if items else None
        line = label and host_state_suspicion(key, label, bulk.vbm_eV, bulk.cbm_eV)
        lines += [line] if line else []
    return lines


def _jumps(context: StudyContext) -> list[str]:
    """Labels that were left out because their neighbours contradict them."""
    lines = []
    for fidelity in ("low", "high"):
        last = context.study.exploration.rounds
        found = {
            jump.frame_id: jump for group in context.groups for jump in read_jumps(context, group.name, last, fidelity)
        }
        if found:
            worst = max(found.values(), key=lambda jump: abs(jump.residual_eV))
            lines.append(
                f"{len(found)} {context.fidelity_settings(fidelity).name} labels were left out of training: their "
                "energies contradict their neighbours' energies and forces, the worst "
                f"({worst.key}) by {worst.residual_eV:+.2f} eV. Another electronic state is likely."
            )
    return lines


def _gaps(context: StudyContext, defects: list[DefectSummary]) -> list[str]:
    """What was asked for and is not there, with the reason."""
    present = {row.key for row in defects}
    asked = [str(key) for _, key in context.keys]
    lines = [
        f"{key}: no relaxation converged, so it has no ground state and no levels."
        for key in asked
        if key not in present
    ]
    lines += [
        f"No configuration-coordinate diagram of {diagram.initial} and {diagram.final}: {diagram.reason}"
        for diagram in read_diagrams(context)
        if diagram.reason
    ]
    lines += _fallen(context)
    refused = read_errors(context).refused
    if refused:
        lines.append(f"{len(refused)} held-out frames have no error: {refused[0][1]}")
    return lines


def _fallen(context: StudyContext) -> list[str]:
    """Diagrams whose curve falls below the ground state it should have its minimum at."""
    lines = []
    for row in diagrams(context):
        ends = [DefectKey(row.defect, charge) for charge in (row.initial_charge, row.final_charge)]
        for key, curve in zip(ends, (row.initial_eV, row.final_eV), strict=True):
            fall_eV = -min(curve)
            if fall_eV > FALLEN_EV:
                lines.append(
                    f"The curve of {key} in the diagram of {ends[0]} and {ends[1]} falls "
                    f"{1e3 * fall_eV:.0f} meV below its verified ground state: it is wrong there by "
                    "so much, or a lower minimum lies on the way."
                )
    return lines


def found_distance(context: StudyContext) -> float:
    """Distance of a defect to its periodic image, A."""
    return read_host(context).min_image_distance_A
