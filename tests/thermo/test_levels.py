"""Levels from formation energies: published numbers, invariances, negative U, uncertainties."""

from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import DefectKey
from defectscape.domain.energies import FormationEnergy
from defectscape.thermo.levels import envelope, stability_windows, transition_levels

SB2SE3 = Path(__file__).parents[2].parent / "shared/reference/sb2se3/input-fermi.dat"


def state(defect, charge, energy, **more):
    return FormationEnergy(DefectKey(defect, charge), "X-rich", energy, **more)


def published():
    """Formation energies of the file at E_F = VBM, and its gap."""
    if not SB2SE3.exists():
        pytest.skip(f"published energies are not there: {SB2SE3}")
    lines = [line.split("#")[0].split() for line in SB2SE3.read_text().splitlines()]
    gap, rows, states = float(lines[2][0]), lines[5:], []
    while rows:
        name, count, _ = rows[0]
        for charge, energy, _ in rows[1 : int(count) + 1]:
            states.append(state(name.replace("Vac", "v"), int(charge), float(energy)))
        rows = rows[int(count) + 1 :]
    return states, gap


@pytest.mark.parametrize(
    ("defect", "expected"),
    [
        ("v_Sb_1", {"(+1/0)": 1.161, "(0/-1)": 0.320, "(-1/-2)": 0.945, "(-2/-3)": 0.101}),
        ("v_Sb_2", {"(+1/0)": 1.243, "(0/-1)": 0.173, "(-1/-2)": 1.069, "(-2/-3)": 0.140}),
    ],
)
def test_published_levels_of_antimony_vacancies(defect, expected):
    states, gap = published()
    levels = {x.label: x for x in transition_levels(states, gap) if x.defect == defect}
    for label, value in expected.items():
        assert levels[label].level_eV == pytest.approx(value, abs=1e-3)
        assert levels[label].in_gap


def test_published_file_is_read_whole_and_every_envelope_is_the_lowest_line():
    states, gap = published()
    assert (len({s.key.defect for s in states}), len(states), gap) == (22, 140, 1.419)
    windows = {w.key: w for w in stability_windows(states, gap)}
    for fermi in np.linspace(0.0005, gap - 0.0005, 200):
        for defect in {s.key.defect for s in states}:
            mine = [s for s in states if s.key.defect == defect]
            lowest = min(s.at_eV(fermi) for s in mine)
            for s in mine:
                w = windows[s.key]
                inside = w.stable_in_gap and w.low_eV <= fermi <= w.high_eV
                assert inside == (s.at_eV(fermi) <= lowest + 1e-9)


def test_slope_against_the_fermi_level_is_the_charge():
    for charge in (-2, 0, 3):
        line = state("v_A", charge, 1.3)
        assert line.at_eV(0.7) - line.at_eV(0.2) == pytest.approx(0.5 * charge)
    assert state("v_A", 0, 1.3).at_eV(0.9) == 1.3


def test_donor_and_acceptor_levels_by_hand():
    # + is stable below E_F = 0.4 (donor), - above 1.1 (acceptor)
    states = [state("v_A", 0, 1.0), state("v_A", 1, 0.6), state("v_A", -1, 2.1)]
    levels = transition_levels(states, 1.5)
    assert [(x.label, x.stable, x.in_gap) for x in levels] == [
        ("(+1/0)", True, True),
        ("(0/-1)", True, True),
    ]
    assert [x.level_eV for x in levels] == pytest.approx([0.4, 1.1])
    windows = {w.key.charge: w for w in stability_windows(states, 1.5)}
    assert (windows[1].low_eV, windows[1].high_eV) == pytest.approx((0.0, 0.4))
    assert (windows[-1].low_eV, windows[-1].high_eV) == pytest.approx((1.1, 1.5))
    assert not any(w.negative_u for w in windows.values())


def test_negative_u_state_is_flagged_and_its_levels_are_metastable():
    # (+/0) at 1.0 lies above (0/-) at 0.2: the neutral state is never lowest; (+/-) at 0.6
    states = [state("v_A", 1, 0.0), state("v_A", 0, 1.0), state("v_A", -1, 1.2)]
    assert [s.key.charge for s in envelope(states)] == [1, -1]
    levels = {x.label: x for x in transition_levels(states, 1.5)}
    assert levels["(+1/-1)"].level_eV == pytest.approx(0.6)
    assert levels["(+1/-1)"].stable
    assert levels["(+1/0)"].level_eV == pytest.approx(1.0)
    assert not levels["(+1/0)"].stable
    assert not levels["(0/-1)"].stable
    windows = {w.key.charge: w for w in stability_windows(states, 1.5)}
    assert windows[0].negative_u
    assert not windows[0].stable_in_gap


def test_state_stable_only_outside_the_gap_is_not_negative_u():
    states = [state("v_A", 1, 5.0), state("v_A", 0, 1.0)]
    (level,) = transition_levels(states, 1.5)
    assert level.level_eV == pytest.approx(-4.0)
    assert level.stable
    assert not level.in_gap
    window = stability_windows(states, 1.5)[0]
    assert window.key.charge == 1
    assert not window.stable_in_gap
    assert not window.negative_u


def test_common_reservoir_shift_and_order_of_input_leave_levels_alone():
    states = [state("v_A", q, e) for q, e in ((2, -0.3), (1, 0.4), (0, 0.9), (-1, 2.0))]
    shifted = [state("v_A", s.key.charge, s.energy_eV + 1.7) for s in reversed(states)]
    first, second = transition_levels(states, 1.5), transition_levels(shifted, 1.5)
    assert [x.label for x in first] == [x.label for x in second]
    assert [x.level_eV for x in first] == pytest.approx([x.level_eV for x in second])


def test_independent_uncertainties_add_in_quadrature_per_electron():
    states = [
        state("v_A", 1, 0.0, uncertainty_eV=0.03),
        state("v_A", -1, 1.0, uncertainty_eV=0.04),
    ]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(0.05 / 2)
    assert level.uncertainty_from == "states"


def test_error_common_to_all_charges_cancels_within_each_member():
    common = (0.1, -0.2, 0.3)
    states = [
        state("v_A", 1, 0.0, uncertainty_eV=0.25, member_energies_eV=common),
        state("v_A", 0, 1.0, uncertainty_eV=0.25, member_energies_eV=tuple(1 + c for c in common)),
    ]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(0.0, abs=1e-12)
    assert level.uncertainty_from == "members"


def test_independent_members_give_the_spread_of_their_levels():
    states = [
        state("v_A", 0, 0.0, member_energies_eV=(0.0, 0.0, 0.0)),
        state("v_A", -2, 1.0, member_energies_eV=(0.9, 1.0, 1.1)),
    ]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(0.05)


def test_two_energies_of_one_key_and_mixed_limits_are_refused():
    with pytest.raises(ThermoError, match="v_A_0 twice"):
        transition_levels([state("v_A", 0, 1.0), state("v_A", 0, 1.1)], 1.0)
    other = FormationEnergy(DefectKey("v_A", 1), "Y-rich", 0.0)
    with pytest.raises(ThermoError, match="X-rich, Y-rich"):
        transition_levels([state("v_A", 0, 1.0), other], 1.0)
