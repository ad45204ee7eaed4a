"""Formation energies and levels through doped, end to end, against a calculation by hand."""

import logging
import warnings
from dataclasses import replace

import numpy as np
import pytest

from defectscape.domain.energies import HostEnergies, StateEnergy
from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import DefectKey
from defectscape.files.quiet import quiet
from defectscape.settings.thermo import NoCorrection, PointChargeCorrection
from defectscape.thermo.chempots import chemical_potential_limits
from defectscape.thermo.corrections import charge_corrections
from defectscape.thermo.diagram import (
    build_diagram,
    doped_levels_eV,
    save_diagram,
)
from defectscape.thermo.formation import formation_energies
from defectscape.thermo.levels import transition_levels

CORRECTION = PointChargeCorrection(kind="point_charge", dielectric=(10.0 * np.eye(3)).tolist())
# 2.837297 e^2 / (2 * 10 * 13.08 A)
CORRECTION_EV = 2.8372974795 * 14.3996454 / (2 * 10 * 13.08)


@pytest.fixture(scope="module")
def limits(host, energies):
    references = {"Cd": -1.5, "Te": -3.2}
    return chemical_potential_limits(host.numbers, energies.bulk_energy_eV, references)


@pytest.fixture(scope="module")
def diagram(states, host, sites, energies, limits):
    return build_diagram(states, host, sites, energies, limits, charge_corrections(states, host, CORRECTION))


def doped_formation_energies_eV(diagram, limits):
    """Formation energies at E_F = VBM as doped computes them, by (limit, key)."""
    with quiet("doped"):
        return {
            (limit.name, DefectKey.parse(name)): float(
                diagram.get_formation_energy(entry, limit=limit.name, fermi_level=0.0)
            )
            for limit in limits
            for name, entry in diagram.defect_entries.items()
        }


def by_hand(charge, raw_eV, mu_cd_eV):
    return raw_eV + charge**2 * CORRECTION_EV + 192.0 + mu_cd_eV + charge * 2.3


def test_formation_energies_agree_with_the_hand_and_with_doped(states, host, energies, limits, diagram):
    ours = formation_energies(states, host, energies, limits, charge_corrections(states, host, CORRECTION))
    doped = doped_formation_energies_eV(diagram, limits)
    mu_cd = {"Cd-rich": -1.5, "Te-rich": -6.0 + 3.2}
    raw = {state.key: state.energy_eV for state in states}
    assert len(ours) == len(doped) == 6
    for energy in ours:
        expected = by_hand(energy.key.charge, raw[energy.key], mu_cd[energy.limit])
        assert energy.energy_eV == pytest.approx(expected, abs=1e-5)
        assert doped[energy.limit, energy.key] == pytest.approx(expected, abs=1e-3)
        assert energy.correction_eV == pytest.approx(energy.key.charge**2 * CORRECTION_EV, abs=1e-5)


def test_levels_agree_with_the_hand_and_with_doped_in_every_limit(states, host, energies, limits, diagram):
    ours = formation_energies(states, host, energies, limits, charge_corrections(states, host, CORRECTION))
    doped = doped_levels_eV(diagram)
    # level(q/q-1) = E(q-1) - E(q) + ((q-1)^2 - q^2) corr - VBM
    expected = {(0, -1): 2.8 + CORRECTION_EV - 2.3, (-1, -2): 3.1 + 3 * CORRECTION_EV - 2.3}
    assert set(doped) == {("v_Cd", *pair) for pair in expected}
    for limit in limits:
        levels = transition_levels([e for e in ours if e.limit == limit.name], energies.gap_eV)
        assert {(x.upper, x.lower) for x in levels if x.stable} == set(expected)
        for level in levels:
            pair = (level.upper, level.lower)
            assert level.level_eV == pytest.approx(expected[pair], abs=1e-5)
            assert doped["v_Cd", *pair] == pytest.approx(expected[pair], abs=1e-3)


def test_shift_of_the_energy_zero_of_an_ionised_state_follows_the_vbm(states, host, limits):
    low = HostEnergies(-192.0, 2.3, 1.5)
    high = HostEnergies(-192.0, 2.8, 1.5)
    settings = NoCorrection(kind="none")
    first = formation_energies(states, host, low, limits, charge_corrections(states, host, settings))
    second = formation_energies(states, host, high, limits, charge_corrections(states, host, settings))
    for a, b in zip(first, second, strict=True):
        assert b.energy_eV - a.energy_eV == pytest.approx(0.5 * a.key.charge)


def test_saved_diagram_is_the_same_in_doped_again(diagram, limits, tmp_path):
    path = tmp_path / "diagram.json"
    save_diagram(diagram, path)
    with quiet("doped"):
        from doped.thermodynamics import DefectThermodynamics

        again = DefectThermodynamics.from_json(str(path))
    assert list(again.defect_entries) == ["v_Cd_0", "v_Cd_-1", "v_Cd_-2"]
    first, second = (doped_formation_energies_eV(d, limits) for d in (diagram, again))
    assert second == pytest.approx(first, abs=1e-9)
    assert doped_levels_eV(again) == pytest.approx(doped_levels_eV(diagram), abs=1e-9)
    copy = tmp_path / "copy.json"
    save_diagram(again, copy)
    assert copy.read_text() == path.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.json", "diagram.json"]


def test_two_defects_on_one_site_keep_their_own_names_and_levels(states, host, sites, energies, limits, vacancy):
    twin = replace(sites[0], name="v_Cd_b", frac_coords=(0.02, 0.0, 0.0))
    other = []
    for state in states:
        key = DefectKey("v_Cd_b", state.key.charge)
        frame = replace(state.frame, key=key)
        other.append(replace(state, key=key, frame=frame, energy_eV=state.energy_eV + 0.3))
    both = build_diagram(
        [*states, *other],
        host,
        [*sites, twin],
        energies,
        limits,
        charge_corrections([*states, *other], host, CORRECTION),
    )
    assert len(both.defect_entries) == 6
    levels = doped_levels_eV(both)
    assert levels["v_Cd", 0, -1] == pytest.approx(levels["v_Cd_b", 0, -1])


def test_antisite_counts_both_reservoirs(host, sites, energies, limits, vacancy):
    frame = vacancy(0)
    frame = replace(
        frame,
        numbers=np.append(frame.numbers, 52),
        positions_A=np.vstack([frame.positions_A, [[0.0, 0.0, 0.0]]]),
        key=DefectKey("Te_Cd", 0),
    )
    antisite = StateEnergy(frame.key, frame, -190.0, 0.0, True)
    ours = formation_energies([antisite], host, energies, limits, charge_corrections([antisite], host, CORRECTION))
    doped = doped_formation_energies_eV(
        build_diagram(
            [antisite],
            host,
            sites,
            energies,
            limits,
            charge_corrections([antisite], host, CORRECTION),
        ),
        limits,
    )
    # -190 + 192 + mu(Cd) - mu(Te)
    expected = {"Cd-rich": 2.0 - 1.5 + 4.5, "Te-rich": 2.0 - 2.8 + 3.2}
    for energy in ours:
        assert energy.energy_eV == pytest.approx(expected[energy.limit], abs=1e-6)
        assert doped[energy.limit, energy.key] == pytest.approx(expected[energy.limit], abs=1e-3)


def test_levels_far_outside_the_gap_are_ours_only(states, host, sites, energies, limits):
    """doped looks 1 eV beyond the band edges; our list goes on and says it is outside."""
    deep = [states[0], replace(states[1], energy_eV=states[1].energy_eV + 4.0)]
    diagram = build_diagram(deep, host, sites, energies, limits, charge_corrections(deep, host, CORRECTION))
    assert doped_levels_eV(diagram) == {}
    ours = formation_energies(deep, host, energies, limits[:1], charge_corrections(deep, host, CORRECTION))
    (level,) = transition_levels(ours, energies.gap_eV)
    assert level.level_eV == pytest.approx(4.5 + CORRECTION_EV, abs=1e-5)
    assert not level.in_gap


def test_doped_leaves_warnings_as_they_were(states, host, sites, energies, limits, caplog):
    before = (warnings.formatwarning, list(warnings.filters))
    stranger = HostEnergies(-200.0, 2.3, 1.5)
    with caplog.at_level(logging.WARNING):
        build_diagram(states, host, sites, stranger, limits, charge_corrections(states, host, CORRECTION))
    assert (warnings.formatwarning, list(warnings.filters)) == before
    assert "bulk supercell" in caplog.text


def test_wrong_states_are_refused_by_name(states, host, sites, energies, limits):
    def build(given, table=sites):
        return build_diagram(given, host, table, energies, limits, charge_corrections(given, host, CORRECTION))

    with pytest.raises(ThermoError, match="none"):
        build([])
    with pytest.raises(ThermoError, match="v_Cd_0 twice"):
        build([states[0], states[0]])
    with pytest.raises(ThermoError, match="no v_Cd"):
        build(states, sites[1:])
    with pytest.raises(ThermoError, match="atoms of v_Cd_0"):
        build(states, [replace(sites[1], name="v_Cd")])
    frame = replace(states[0].frame, cell_A=1.01 * states[0].frame.cell_A)
    with pytest.raises(ThermoError, match="supercell of v_Cd_0"):
        build([replace(states[0], frame=frame)])
    with pytest.raises(ThermoError, match="NaN"):
        replace(states[0], energy_eV=float("nan"))
    with pytest.raises(ThermoError, match="structure of v_Cd_-1"):
        replace(states[0], key=DefectKey("v_Cd", -1))
    with pytest.raises(ThermoError, match="band gap"):
        HostEnergies(-192.0, 2.3, 0.0)
