"""Thermo stage: formation energies, transition levels, concentrations, doped's diagram."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from defectscape.domain.energies import (
    ChemicalPotentialLimit,
    FiniteSizeCorrection,
    FormationEnergy,
    HostEnergies,
    MemberEnergies,
    StateEnergy,
    TransitionLevel,
)
from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import HOST, DefectKey
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.domain.statistics import rms
from defectscape.files.quiet import listening
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import defect_frame
from defectscape.search.residual_energy import residual_energy
from defectscape.search.symmetry import orientations, point_group
from defectscape.settings.thermo import EfnvCorrection
from defectscape.study.committees import CommitteeSurface, load_committee
from defectscape.study.context import StudyContext
from defectscape.study.host import dopants_of, read_host, read_sites
from defectscape.study.levels import GroundState, Levels, write_levels
from defectscape.study.minima import ground_state, read_verified
from defectscape.study.potentials import read_potentials
from defectscape.study.references import read_references
from defectscape.thermo.bands import HostBands, host_bands
from defectscape.thermo.chempots import Phase, chemical_potential_limits, composition, given_limits
from defectscape.thermo.concentrations import Equilibrium, equilibria
from defectscape.thermo.corrections import charge_corrections
from defectscape.thermo.diagram import build_diagram, doped_levels_eV, save_diagram
from defectscape.thermo.efnv import alignment_warnings, efnv_correction
from defectscape.thermo.formation import formation_energies
from defectscape.thermo.levels import transition_levels

logger = logging.getLogger(__name__)

AGREEMENT_EV = 1e-3
"""Our levels and doped's must agree within this."""


def _host_energies(context: StudyContext) -> tuple[HostEnergies, dict[str, float]]:
    found = read_references(context)
    bulk = found.bulk_high
    if bulk.vbm_eV is None or bulk.cbm_eV is None:
        raise ThermoError(
            "band edges of the host", "not given by the high-fidelity engine", "Use an engine that gives eigenvalues"
        )
    energies = HostEnergies(bulk.energy_eV, bulk.vbm_eV, bulk.cbm_eV - bulk.vbm_eV)
    return energies, found.energies_per_atom_eV


def _limits(
    context: StudyContext, host: HostCrystal, energies: HostEnergies, references: dict[str, float]
) -> tuple[ChemicalPotentialLimit, ...]:
    """The study's own limits, or those of elements and competing phases."""
    given, foreign = context.study.thermo.chemical_potentials, dopants_of(context.study, host)
    if given is not None:
        return given_limits(host.numbers, energies.bulk_energy_eV, references, given, foreign)
    phases = [
        Phase(phase.name, composition(np.array(phase.numbers)), phase.energy_eV)
        for phase in read_references(context).phases
    ]
    return chemical_potential_limits(host.numbers, energies.bulk_energy_eV, references, phases, foreign)


def _check_against_doped(levels: tuple[TransitionLevel, ...], doped: dict[tuple[str, int, int], float]) -> None:
    for level in levels:
        theirs = doped.get((level.defect, level.upper, level.lower))
        if level.stable and theirs is not None and abs(theirs - level.level_eV) > AGREEMENT_EV:
            raise ThermoError(
                f"level {level.label} of {level.defect}",
                f"{level.level_eV:.4f} eV here, {theirs:.4f} eV in doped",
                "They must agree; please report this with the study's thermo folder",
            )


def compute_levels(context: StudyContext) -> None:
    """Ground states of all keys, their formation energies in every limit, and all levels."""
    host = read_host(context)
    energies, references = _host_energies(context)
    limits = _limits(context, host, energies, references)
    committee = load_committee(context, context.layout.final, context.study.training)
    surface = CommitteeSurface(committee, context.fidelity_names[1])
    keys = [(group.name, key) for group, key in context.keys]
    errors = [
        item.model_error_eV
        for group, key in keys
        for item in read_verified(context, group, key)
        if item.model_error_eV is not None
    ]
    rms_eV = rms(errors) if errors else None
    found = [pair for pair in keys if read_verified(context, *pair)]
    if not found:
        raise ThermoError(
            "ground states",
            "the search found no minimum of any defect",
            "Raise search.max_steps or the labels of selection",
        )
    states = tuple(make_ground_state(context, *pair, surface, rms_eV) for pair in found)
    sites = read_sites(context)
    inputs = tuple(_state_energy(context, host, sites, state) for state in states)
    corrections = _corrections(context, inputs, host, sites)
    formation = formation_energies(inputs, host, energies, limits, corrections)
    first = tuple(energy for energy in formation if energy.limit == limits[0].name)
    levels = transition_levels(first, energies.gap_eV)
    with listening() as heard:
        diagram = build_diagram(inputs, host, sites, energies, limits, corrections)
        _check_against_doped(levels, doped_levels_eV(diagram))
        save_diagram(diagram, context.layout.thermodynamics)
        bands = _bands(context, host, energies)
        found_equilibria = _equilibria(context, diagram, bands, limits, first)
    warnings = (*alignment_warnings(inputs, corrections), *(bands.remarks if bands else ()), *heard)
    write_levels(context, Levels(states, energies, limits, formation, levels, found_equilibria, warnings))


def _state_energy(
    context: StudyContext, host: HostCrystal, sites: Sequence[DefectSite], state: GroundState
) -> StateEnergy:
    """A ground state with its orientational degeneracy: how many ways it has on its site, or as that pair."""
    tolerance_A, frame = context.study.minima.symmetry_tolerance_A, state.frame
    unrelaxed = defect_frame(host, pick_site(sites, frame.key.defect), frame.charge)
    groups = point_group(unrelaxed, tolerance_A), point_group(frame, tolerance_A)
    return StateEnergy(
        state.key,
        frame,
        state.energy_eV,
        state.uncertainty_eV,
        state.verified,
        state.members,
        degeneracy=orientations(*groups),
        point_groups=groups,
        spin_degeneracy=None if context.study.host.ferromagnet is None else 1,
    )


def _corrections(
    context: StudyContext,
    states: Sequence[StateEnergy],
    host: HostCrystal,
    sites: Sequence[DefectSite],
) -> tuple[FiniteSizeCorrection, ...]:
    """The finite-size correction of each ground state, as the study asks for it."""
    settings = context.study.thermo.correction
    if not isinstance(settings, EfnvCorrection):
        return charge_corrections(states, host, settings)
    perfect = read_potentials(context, HOST)
    return tuple(
        efnv_correction(
            state,
            host,
            pick_site(sites, state.key.defect),
            settings.tensor.tolist(),
            read_potentials(context, state.key).potentials_V,
            perfect.potentials_V,
        )
        for state in states
    )


def _bands(context: StudyContext, host: HostCrystal, energies: HostEnergies) -> HostBands | None:
    """The bands that hold carriers, if the study asks for concentrations."""
    settings = context.study.thermo.concentrations
    if settings is None:
        return None
    return host_bands(host, energies, settings, context.study.fidelities.high.engine)


def _equilibria(
    context: StudyContext,
    diagram: Any,
    bands: HostBands | None,
    limits: Sequence[ChemicalPotentialLimit],
    formation: Sequence[FormationEnergy],
) -> tuple[Equilibrium, ...]:
    """Concentrations, if the study asks for them."""
    settings = context.study.thermo.concentrations
    if settings is None or bands is None:
        return ()
    uncertainties_eV = {state.key: state.uncertainty_eV for state in formation}
    names = [limit.name for limit in limits]
    return equilibria(diagram, names, bands.fermi_dos, settings, uncertainties_eV)


def make_ground_state(
    context: StudyContext, group: str, key: DefectKey, surface: CommitteeSurface, rms_eV: float | None
) -> GroundState:
    """The lowest minimum of a key, by the engine where it has computed any.

    Args:
        context, group, key: whose.
        surface: the final committee, for what relaxing further would gain.
        rms_eV: RMS error of the model on verified minima, eV; None if none was verified.
    """
    items = read_verified(context, group, key)
    best = ground_state(items)
    if best.final_label is not None:
        still = residual_energy(best.frame, best.final_label, surface, context.study.search)
        return GroundState(
            key,
            group,
            best.minimum.rank,
            best.frame,
            best.final_label.energy_eV,
            still.uncertainty_eV,
            still.origin,
            True,
            None,
        )
    # Charge states of one group were searched with one committee, so these members can be compared.
    members = MemberEnergies(group, best.minimum.member_energies_eV)
    return GroundState(
        key,
        group,
        best.minimum.rank,
        best.minimum.frame,
        best.minimum.energy_eV,
        math.hypot(members.std_eV, rms_eV or 0.0),
        "committee spread and RMS model error on verified minima",
        False,
        members,
    )
