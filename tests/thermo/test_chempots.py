"""Chemical potential limits against closed forms, and what is refused."""

import numpy as np
import pytest

from defectscape.domain.errors import ThermoError
from defectscape.thermo.chempots import (
    Phase,
    chemical_potential_limits,
    doped_chempots,
    given_limits,
)

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


def relative(limits):
    return {limit.name: dict(limit.relative_eV) for limit in limits}


def test_a_dopant_is_at_the_solubility_limit_of_the_phase_that_holds_it():
    limits = relative(chemical_potential_limits(CDTE, 4 * -5.2, WITH_CHLORINE, [CDCL2], ["Cl"]))
    assert set(limits) == {"Cd-rich with CdCl2", "Te-rich with CdCl2"}
    # mu(Cd) + 2 mu(Cl) = -3.9 eV in both
    assert limits["Cd-rich with CdCl2"] == pytest.approx({"Cd": 0.0, "Te": -1.2, "Cl": -1.95})
    assert limits["Te-rich with CdCl2"] == pytest.approx({"Cd": -1.2, "Te": 0.0, "Cl": -1.35})
    # Without it chlorine gas is what limits: far too high.
    alone = relative(chemical_potential_limits(CDTE, 4 * -5.2, WITH_CHLORINE, dopants=["Cl"]))
    assert {name: row["Cl"] for name, row in alone.items()} == pytest.approx({"Cd-Cl-rich": 0.0, "Cl-Te-rich": 0.0})
    # What the host's own elements may be is not changed by a dopant.
    host = relative(chemical_potential_limits(CDTE, 4 * -5.2, REFERENCES))
    for name, row in limits.items():
        assert {el: row[el] for el in ("Cd", "Te")} == pytest.approx(host[name.partition(" ")[0]])


def test_where_two_phases_of_a_dopant_take_turns_is_a_limit_too():
    tetrachloride = Phase("tetrachloride", {"Te": 1, "Cl": 4}, -3.0 - 4 * 2.0 - 6.0)
    limits = relative(chemical_potential_limits(CDTE, 4 * -5.2, WITH_CHLORINE, [CDCL2, tetrachloride], ["Cl"]))
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
    limits = relative(chemical_potential_limits(CDTE, 4 * -5.2, references, [CDCL2, copper], ["Cl", "Cu"]))
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
