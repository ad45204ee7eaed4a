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
