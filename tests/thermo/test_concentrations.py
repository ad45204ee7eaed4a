"""Neutrality, exact limits of carriers, and error bars, against formulas written out here."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import constants

from defectscape.domain.keys import DefectKey
from defectscape.files.quiet import listening
from defectscape.settings.thermo import (
    ConcentrationsSettings,
    EffectiveMasses,
    NoCorrection,
)
from defectscape.thermo.bands import parabolic_dos
from defectscape.thermo.chempots import chemical_potential_limits
from defectscape.thermo.concentrations import equilibria
from defectscape.thermo.corrections import charge_corrections
from defectscape.thermo.diagram import build_diagram
from defectscape.thermo.formation import formation_energies

KT_EV = constants.k / constants.e
ELECTRON, HOLE = 0.11, 0.6
MASSES = EffectiveMasses(kind="effective_masses", electron=ELECTRON, hole=HOLE)
NO_CORRECTION = NoCorrection(kind="none")
SITES_CM3 = 4 / 6.54**3 * 1e24


def settings(annealing_K=800.0, operating_K=300.0, dopant_cm3=0.0):
    return ConcentrationsSettings(
        bands=MASSES, annealing_K=[annealing_K], operating_K=operating_K, dopant_cm3=dopant_cm3
    )


def effective_states_cm3(mass, temperature_K):
    """2 (2 pi m kT / h^2)^(3/2)."""
    thermal = 2 * math.pi * mass * constants.m_e * constants.k * temperature_K / constants.h**2
    return 2 * thermal**1.5 * 1e-6


@pytest.fixture(scope="module")
def limits(host, energies):
    return chemical_potential_limits(host.numbers, energies.bulk_energy_eV, {"Cd": -1.5, "Te": -3.2})


@pytest.fixture(scope="module")
def dos(host, energies):
    return parabolic_dos(host, energies, ELECTRON, HOLE)


@pytest.fixture
def solved(states, host, sites, energies, limits, dos):
    def solve(shift_eV=0.0, uncertainties=None, **changes):
        moved = [replace(state, energy_eV=state.energy_eV + shift_eV, degeneracy=1.0) for state in states]
        diagram = build_diagram(moved, host, sites, energies, limits, charge_corrections(moved, host, NO_CORRECTION))
        (found,) = equilibria(diagram, [limits[0].name], dos, settings(**changes), uncertainties or {})
        formation = {
            e.key: e
            for e in formation_energies(
                moved, host, energies, limits[:1], charge_corrections(moved, host, NO_CORRECTION)
            )
        }
        return found, formation, {state.key: state.frame.multiplicity for state in states}

    return solve


def test_carriers_of_parabolic_bands_follow_boltzmann_far_from_the_edges(host, energies):
    from doped.thermodynamics import get_e_h_concs

    dos = parabolic_dos(host, energies, ELECTRON, HOLE)
    for temperature_K in (300.0, 900.0):
        level = energies.vbm_eV + 0.7
        electrons, holes = get_e_h_concs(dos, level, temperature_K)
        kt = KT_EV * temperature_K
        expected = effective_states_cm3(ELECTRON, temperature_K) * math.exp(-(energies.gap_eV - 0.7) / kt)
        assert electrons == pytest.approx(expected, rel=0.02)
        expected = effective_states_cm3(HOLE, temperature_K) * math.exp(-0.7 / kt)
        assert holes == pytest.approx(expected, rel=0.02)


def test_without_charge_the_level_is_intrinsic(solved, energies):
    # 5 eV up, no defect forms that could hold a charge worth naming.
    found, _, _ = solved(shift_eV=5.0)
    kt = KT_EV * 300.0
    expected = energies.gap_eV / 2 + 0.75 * kt * math.log(HOLE / ELECTRON)
    assert found.operating_fermi_eV == pytest.approx(expected, abs=2e-3)
    assert found.electrons_cm3 == pytest.approx(found.holes_cm3, rel=1e-3)


def test_concentrations_are_boltzmann_s_at_the_level_found_and_neutral(solved):
    found, formation, multiplicity = solved()
    kt = KT_EV * found.annealing_K
    charge = 0.0
    for state in found.states:
        energy = formation[state.key].energy_eV + state.key.charge * found.annealing_fermi_eV
        expected = SITES_CM3 * multiplicity[state.key] * math.exp(-energy / kt)
        assert state.annealing_cm3 == pytest.approx(expected, rel=0.02)
        charge += state.key.charge * state.operating_cm3
    charge += found.holes_cm3 - found.electrons_cm3
    assert abs(charge) < 1e-6 * (found.holes_cm3 + found.electrons_cm3)


def test_the_frozen_defects_keep_their_number(solved):
    found, _, _ = solved()
    before = sum(state.annealing_cm3 for state in found.states)
    after = sum(state.operating_cm3 for state in found.states)
    assert after == pytest.approx(before, rel=1e-6)
    assert found.operating_fermi_eV != pytest.approx(found.annealing_fermi_eV, abs=1e-3)


def test_dopants_move_the_level(solved):
    found, _, _ = solved(shift_eV=5.0, dopant_cm3=1e16)
    assert found.electrons_cm3 == pytest.approx(1e16, rel=1e-3)
    found, _, _ = solved(shift_eV=5.0, dopant_cm3=-1e16)
    assert found.holes_cm3 == pytest.approx(1e16, rel=1e-3)


def test_error_bars_are_the_response_of_the_neutral_level(solved):
    sigma_eV = 0.004
    key = DefectKey("v_Cd", -2)
    found, _, _ = solved(uncertainties={key: sigma_eV})
    # dE_F/dE_i = -q_i c_i / (sum_j q_j^2 c_j + n + p), from neutrality
    weights = {s.key: s.key.charge**2 * s.annealing_cm3 for s in found.states}
    own = next(s for s in found.states if s.key == key)
    kt = KT_EV * found.annealing_K
    carriers = effective_states_cm3(HOLE, found.annealing_K) * math.exp(
        -found.annealing_fermi_eV / kt
    ) + effective_states_cm3(ELECTRON, found.annealing_K) * math.exp((found.annealing_fermi_eV - 1.5) / kt)
    expected = 2 * own.annealing_cm3 / (sum(weights.values()) + carriers) * sigma_eV
    assert found.annealing_fermi_std_eV == pytest.approx(expected, rel=0.08)
    none, _, _ = solved(uncertainties={key: 0.0})
    assert none.annealing_fermi_std_eV == 0.0
    assert all(state.operating_std_log10 == 0.0 for state in none.states)


def test_bars_of_independent_states_add_in_squares(solved, states):
    alone = [solved(uncertainties={s.key: 0.01})[0].operating_fermi_std_eV for s in states]
    together = solved(uncertainties={s.key: 0.01 for s in states})[0].operating_fermi_std_eV
    assert together == pytest.approx(float(np.linalg.norm(alone)), rel=1e-6)


def test_annealing_below_the_temperature_of_use_is_refused():
    with pytest.raises(ValueError, match="annealing_K: 200 K is below operating_K"):
        settings(annealing_K=200.0)


def test_bands_that_are_not_the_diagram_s_are_warned_of(states, host, sites, energies, limits):
    """doped says it; here it is heard, once."""
    corrections = charge_corrections(states, host, NO_CORRECTION)
    diagram = build_diagram(states, host, sites, energies, limits, corrections)
    other = parabolic_dos(host, replace(energies, gap_eV=energies.gap_eV + 0.2), ELECTRON, HOLE)
    with listening() as heard:
        equilibria(diagram, [limits[0].name], other, settings(), {})
    assert len([line for line in heard if "band gap" in line and "differs by >0.05 eV" in line]) == 1
