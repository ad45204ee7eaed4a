"""Formation energies through doped, and the chemical potential limits that they depend on."""

import logging
import warnings
from dataclasses import replace

import numpy as np
import pytest

from defectscape.domain.energies import HostEnergies, StateEnergy
from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import DefectSite
from defectscape.files.quiet import quiet
from defectscape.sampling.pairs import pair_site
from defectscape.sampling.sites import defect_frame
from defectscape.settings.thermo import NoCorrection, PointChargeCorrection
from defectscape.thermo.chempots import (
    Phase,
    chemical_potential_limits,
    doped_chempots,
    given_limits,
)
from defectscape.thermo.corrections import charge_corrections
from defectscape.thermo.diagram import (
    build_diagram,
    doped_levels_eV,
    save_diagram,
)
from defectscape.thermo.formation import binding_energies, formation_energies
from defectscape.thermo.levels import transition_levels

# Formation energies and levels through doped, end to end, against a calculation by hand.


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


# Chemical potential limits against closed forms, and what is refused.


CDTE = np.array([48, 52] * 4)
REFERENCES = {"Cd": -1.0, "Te": -3.0}


def test_binary_has_one_limit_rich_in_each_element():
    limits = chemical_potential_limits(CDTE, 4 * -5.2, REFERENCES)
    assert [limit.name for limit in limits] == ["Cd-rich", "Te-rich"]
    cd_rich, te_rich = limits
    # E(CdTe) = mu(Cd) + mu(Te) = -5.2 in both
    assert dict(cd_rich.potentials_eV) == pytest.approx({"Cd": -1.0, "Te": -4.2})
    assert dict(te_rich.potentials_eV) == pytest.approx({"Cd": -2.2, "Te": -3.0})
    assert dict(te_rich.relative_eV) == pytest.approx({"Cd": -1.2, "Te": 0.0})
    assert cd_rich.phases == ("Cd", "CdTe")


def test_every_limit_of_a_ternary_returns_the_energy_of_the_host():
    numbers = np.array([22, 38, 8, 8, 8])
    references = {"O": -5.0, "Sr": -1.5, "Ti": -7.8, "Xe": 0.0}
    limits = chemical_potential_limits(numbers, -41.0, references)
    assert {limit.name for limit in limits} == {"O-Sr-rich", "O-Ti-rich", "Sr-Ti-rich"}
    for limit in limits:
        mu = dict(limit.potentials_eV)
        assert mu["Ti"] + mu["Sr"] + 3 * mu["O"] == pytest.approx(-41.0, abs=1e-9)
        assert max(value for _, value in limit.relative_eV) <= 1e-9


def test_elemental_host_is_its_own_reservoir():
    (limit,) = chemical_potential_limits(np.array([14] * 8), 8 * -5.4, {"Si": -5.4})
    assert limit.name == "Si-rich"
    assert limit.absolute_eV("Si") == pytest.approx(-5.4)


def test_unstable_host_is_refused_with_the_number():
    with pytest.raises(ThermoError, match=r"unstable by 0\.1000 eV per atom"):
        chemical_potential_limits(CDTE, 4 * -3.8, REFERENCES)


def test_missing_reference_is_refused_by_name():
    with pytest.raises(ThermoError, match="nothing for Te"):
        chemical_potential_limits(CDTE, -20.0, {"Cd": -1.0})


def test_element_outside_the_host_has_no_potential():
    limit = chemical_potential_limits(CDTE, 4 * -5.2, REFERENCES)[0]
    with pytest.raises(ThermoError, match="chemical potential of Cl"):
        limit.absolute_eV("Cl")


def test_doped_form_has_its_three_keys_and_is_consistent():
    table = doped_chempots(chemical_potential_limits(CDTE, 4 * -5.2, REFERENCES))
    assert set(table) == {"limits", "elemental_refs", "limits_wrt_el_refs"}
    for name, values in table["limits"].items():
        for element, value in values.items():
            relative = table["limits_wrt_el_refs"][name][element]
            assert value == pytest.approx(relative + table["elemental_refs"][element])


def test_a_competing_phase_cuts_a_corner_off():
    """A(B) at -1.2 eV per formula; AB2 at -1.5: mu_B <= -1.5 - (-1.2) = -0.3 eV at that end."""
    phase = Phase("ditelluride", {"Cd": 2, "Te": 4}, 2 * (-1.0 - 2 * 3.0 - 1.5))
    limits = chemical_potential_limits(CDTE, 4 * -5.2, REFERENCES, [phase])
    assert [limit.name for limit in limits] == ["Cd-rich", "with CdTe2"]
    relative = dict(limits[1].relative_eV)
    assert relative == pytest.approx({"Cd": -0.9, "Te": -0.3})
    # One that is unstable itself bounds nothing.
    harmless = Phase("ditelluride", {"Cd": 1, "Te": 2}, -1.0 - 2 * 3.0 - 1.1)
    limits = chemical_potential_limits(CDTE, 4 * -5.2, REFERENCES, [harmless])
    assert [limit.name for limit in limits] == ["Cd-rich", "Te-rich"]


def test_a_host_that_decomposes_is_refused():
    phase = Phase("ditelluride", {"Cd": 1, "Te": 2}, -1.0 - 2 * 3.0 - 4.0)
    with pytest.raises(ThermoError, match="eV per atom above Cd, CdTe2"):
        chemical_potential_limits(CDTE, 4 * -5.2, REFERENCES, [phase])


def test_a_phase_of_another_element_is_refused():
    with pytest.raises(ThermoError, match=r"competing phase oxide.*has O"):
        chemical_potential_limits(CDTE, 4 * -5.2, REFERENCES, [Phase("oxide", {"Cd": 1, "O": 1}, -9.0)])


def test_given_limits_are_taken_if_the_host_is_in_equilibrium():
    given = {"in between": {"Cd": -0.5, "Te": -0.7}}
    (limit,) = given_limits(CDTE, 4 * -5.2, REFERENCES, given)
    assert limit.name == "in between"
    assert dict(limit.potentials_eV) == pytest.approx({"Cd": -1.5, "Te": -3.7})
    with pytest.raises(ThermoError, match=r"sum to -0\.5000 eV per atom.*is -0\.6000"):
        given_limits(CDTE, 4 * -5.2, REFERENCES, {"x": {"Cd": -0.5, "Te": -0.5}})
    with pytest.raises(ThermoError, match="one value for each of Cd, Te"):
        given_limits(CDTE, 4 * -5.2, REFERENCES, {"x": {"Cd": -1.2}})


CDCL2 = Phase("chloride", {"Cd": 1, "Cl": 2}, -1.0 - 2 * 2.0 - 3.9)
WITH_CHLORINE = {**REFERENCES, "Cl": -2.0}


def relative_eV(limits):
    return {limit.name: dict(limit.relative_eV) for limit in limits}


def test_a_dopant_is_at_the_solubility_limit_of_the_phase_that_holds_it():
    limits = relative_eV(chemical_potential_limits(CDTE, 4 * -5.2, WITH_CHLORINE, [CDCL2], ["Cl"]))
    assert set(limits) == {"Cd-rich with CdCl2", "Te-rich with CdCl2"}
    # mu(Cd) + 2 mu(Cl) = -3.9 eV in both
    assert limits["Cd-rich with CdCl2"] == pytest.approx({"Cd": 0.0, "Te": -1.2, "Cl": -1.95})
    assert limits["Te-rich with CdCl2"] == pytest.approx({"Cd": -1.2, "Te": 0.0, "Cl": -1.35})
    # Without it chlorine gas is what limits: far too high.
    alone = relative_eV(chemical_potential_limits(CDTE, 4 * -5.2, WITH_CHLORINE, dopants=["Cl"]))
    assert {name: row["Cl"] for name, row in alone.items()} == pytest.approx({"Cd-Cl-rich": 0.0, "Cl-Te-rich": 0.0})
    # What the host's own elements may be is not changed by a dopant.
    host = relative_eV(chemical_potential_limits(CDTE, 4 * -5.2, REFERENCES))
    for name, row in limits.items():
        assert {el: row[el] for el in ("Cd", "Te")} == pytest.approx(host[name.partition(" ")[0]])


def test_where_two_phases_of_a_dopant_take_turns_is_a_limit_too():
    tetrachloride = Phase("tetrachloride", {"Te": 1, "Cl": 4}, -3.0 - 4 * 2.0 - 6.0)
    limits = relative_eV(chemical_potential_limits(CDTE, 4 * -5.2, WITH_CHLORINE, [CDCL2, tetrachloride], ["Cl"]))
    assert set(limits) == {"Cd-rich with CdCl2", "Te-rich with TeCl4", "with CdCl2 and TeCl4"}
    assert limits["Te-rich with TeCl4"]["Cl"] == pytest.approx(-1.5)
    assert limits["with CdCl2 and TeCl4"] == pytest.approx({"Cd": -1.0, "Te": -0.2, "Cl": -1.45})
    # Between the corners no mixture of Cd and Te has more chlorine than both phases allow.
    for cadmium in np.linspace(-1.2, 0.0, 25):
        highest = min(-1.95 - cadmium / 2, (-6.0 + 1.2 + cadmium) / 4)
        corners = sorted((row["Cd"], row["Cl"]) for row in limits.values())
        assert np.interp(cadmium, *zip(*corners, strict=True)) == pytest.approx(highest)


@pytest.mark.parametrize("noise_eV", [-5e-4, 0.0, 5e-4])
def test_an_elemental_host_has_a_dopant_too(noise_eV):
    phase = Phase("SiP", {"Si": 1, "P": 1}, -5.4 - 4.0 - 0.6)
    (limit,) = chemical_potential_limits(
        np.array([14] * 8), 8 * (-5.4 + noise_eV), {"Si": -5.4, "P": -4.0}, [phase], ["P"]
    )
    assert limit.name == "with SiP"
    assert limit.absolute_eV("Si") == pytest.approx(-5.4 + noise_eV)
    assert dict(limit.relative_eV)["P"] == pytest.approx(-0.6 - noise_eV)


def test_two_dopants_are_bounded_together():
    copper = Phase("telluride", {"Cu": 2, "Te": 1}, -2 * 1.5 - 3.0 - 0.5)
    references = {**WITH_CHLORINE, "Cu": -1.5}
    limits = relative_eV(chemical_potential_limits(CDTE, 4 * -5.2, references, [CDCL2, copper], ["Cl", "Cu"]))
    rich = limits["Te-rich with CdCl2 and Cu2Te"]
    assert rich == pytest.approx({"Cd": -1.2, "Te": 0.0, "Cl": -1.35, "Cu": -0.25})
    # At low tellurium, metallic copper comes first.
    assert limits["Cd-Cu-rich with CdCl2"]["Cu"] == pytest.approx(0.0)


def test_a_dopant_needs_its_reference_and_its_own_potential():
    with pytest.raises(ThermoError, match="nothing for Cl, which the study's defects add"):
        chemical_potential_limits(CDTE, 4 * -5.2, REFERENCES, dopants=["Cl"])
    given = {"x": {"Cd": -0.5, "Te": -0.7}}
    with pytest.raises(ThermoError, match="one value for each of Cd, Te, Cl"):
        given_limits(CDTE, 4 * -5.2, WITH_CHLORINE, given, ["Cl"])
    (limit,) = given_limits(CDTE, 4 * -5.2, WITH_CHLORINE, {"x": {**given["x"], "Cl": -1.7}}, ["Cl"])
    assert limit.absolute_eV("Cl") == pytest.approx(-3.7)


# Pairs: doped has no class for them.


@pytest.fixture(scope="module")
def pair_and_partners(host):
    """``v_Cd+Cl_Te`` on two neighbours, its partners, and states of all with made-up energies."""
    vacancy = DefectSite("v_Cd", "v_Cd", "vacancy", None, "Cd", (0.0, 0.0, 0.0), 1)
    place = tuple((host.positions_A[4] @ np.linalg.inv(host.cell_A)).tolist())
    chlorine = DefectSite("Cl_Te", "Cl_Te", "substitution", "Cl", "Te", place, 1)
    pair = pair_site(host, [vacancy, chlorine], "v_Cd+Cl_Te")
    raw_eV = {("v_Cd", -2): -180.1, ("v_Cd", -1): -183.2, ("Cl_Te", 1): -189.5, ("Cl_Te", 0): -185.0}
    raw_eV |= {("v_Cd+Cl_Te", -1): -178.9, ("v_Cd+Cl_Te", 0): -180.4, ("v_Cd+Cl_Te", 1): -181.0}
    named = {"v_Cd": vacancy, "Cl_Te": chlorine, "v_Cd+Cl_Te": pair}
    errors_eV = {"v_Cd": 0.03, "Cl_Te": 0.04, "v_Cd+Cl_Te": 0.12}
    states = [
        StateEnergy(
            DefectKey(name, charge),
            defect_frame(host, named[name], charge),
            energy_eV,
            errors_eV[name],
            True,
            degeneracy=1.0,
            point_groups=("C3v", "C3v"),
        )
        for (name, charge), energy_eV in raw_eV.items()
    ]
    return (vacancy, chlorine, pair), states


@pytest.fixture(scope="module")
def doped_limits(host, energies):
    references = {"Cd": -1.5, "Te": -3.2, "Cl": -1.8}
    return chemical_potential_limits(host.numbers, energies.bulk_energy_eV, references, dopants=("Cl",))


def test_a_pair_is_bound_by_what_its_partners_apart_cost_more(host, energies, doped_limits, pair_and_partners):
    sites, states = pair_and_partners
    formation = formation_energies(states, host, energies, doped_limits, charge_corrections(states, host, CORRECTION))
    by_limit = {
        limit.name: {
            row.key.charge: row for row in binding_energies([e for e in formation if e.limit == limit.name], sites)
        }
        for limit in doped_limits
    }
    for rows in by_limit.values():
        # E(pair) + E(bulk) - E(A) - E(B) of the supercells, with corrections q^2 C: in -1 those of 1, 4 and 1.
        assert rows[-1].energy_eV == pytest.approx(
            -178.9 - 192.0 + 180.1 + 189.5 + (1 - 4 - 1) * CORRECTION_EV, abs=1e-6
        )
        assert rows[-1].partners == (DefectKey("v_Cd", -2), DefectKey("Cl_Te", 1))
        # v_Cd_-1 and Cl_Te_0 add up to -1, too, and lie higher; in 0 there is one way.
        assert rows[0].partners == (DefectKey("v_Cd", -1), DefectKey("Cl_Te", 1))
        assert rows[-1].uncertainty_eV == pytest.approx(0.13)
        assert (rows[1].energy_eV, rows[1].partners) == (None, ())
        assert rows[1].reason == "no charges of v_Cd and Cl_Te in the study add up to +1"
    alone = [energy for energy in formation if energy.key.defect != "Cl_Te"]
    assert {row.reason for row in binding_energies(alone, sites)} == {"the study has no energy of Cl_Te"}
    assert binding_energies(alone, sites[:2]) == ()


def test_doped_takes_a_pair_with_its_atoms_and_its_number_of_places(
    host, energies, doped_limits, pair_and_partners, tmp_path
):
    from doped.thermodynamics import DefectThermodynamics

    sites, states = pair_and_partners
    corrections = charge_corrections(states, host, CORRECTION)
    ours = formation_energies(states, host, energies, doped_limits, corrections)
    diagram = build_diagram(states, host, sites, energies, doped_limits, corrections)
    save_diagram(diagram, tmp_path / "thermodynamics.json")
    with quiet("doped"):
        again = DefectThermodynamics.from_json(str(tmp_path / "thermodynamics.json"))
    for found in (diagram, again):
        doped = doped_formation_energies_eV(found, doped_limits)
        for energy in ours:
            assert doped[energy.limit, energy.key] == pytest.approx(energy.energy_eV, abs=1e-6)
        with quiet("doped"):
            table = found.get_equilibrium_concentrations(
                limit=doped_limits[0].name, fermi_level=0.4, temperature=900.0, skip_formatting=True
            ).reset_index()
        (row,) = table[(table["Defect"] == "v_Cd+Cl_Te") & (table["Charge"].astype(int) == -1)].to_dict("records")
        (pair,) = [e for e in ours if e.key == DefectKey("v_Cd+Cl_Te", -1) and e.limit == doped_limits[0].name]
        kt_eV = 8.617333262e-5 * 900
        # Four orientations at each of the four cadmium sites of a cube of 6.54 A; the closed shell has one spin.
        per_site = np.exp(-(pair.energy_eV - 0.4) / kt_eV)
        expected = 16 / 6.54e-8**3 * per_site / (1 + per_site)
        assert row["Concentration (cm^-3)"] == pytest.approx(expected, rel=1e-3)
