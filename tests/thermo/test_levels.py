"""Levels from formation energies: published numbers, invariances, negative U, uncertainties."""

import math
from itertools import pairwise

import numpy as np
import pytest

from defectscape.domain.energies import FormationEnergy, MemberEnergies
from defectscape.domain.envelope import crossing_eV, lowest_lines
from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import DefectKey
from defectscape.thermo.levels import transition_levels
from support import ROOT

SB2SE3 = ROOT / "tests/data/sb2se3/input-fermi.dat"


def state(defect, charge, energy, **more):
    return FormationEnergy(DefectKey(defect, charge), "X-rich", energy, **more)


def published():
    """Formation energies of the file at E_F = VBM, and its gap."""
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
    for defect in {s.key.defect for s in states}:
        mine = [s for s in states if s.key.defect == defect]
        lowest_at_each_level(mine, gap)


def at_eV(line, fermi_eV):
    return line.energy_eV + line.charge * fermi_eV


def lowest_at_each_level(lines, gap):
    """Between two corners of the envelope its line is the lowest of all."""
    hull = lowest_lines(lines)
    corners = [crossing_eV(*pair) for pair in pairwise(hull)]
    assert corners == sorted(corners)
    for fermi in np.linspace(-2.0005, gap + 2.0005, 400):
        chosen = hull[sum(corner < fermi for corner in corners)]
        assert at_eV(chosen, fermi) <= min(at_eV(line, fermi) for line in lines) + 1e-9


def test_the_envelope_of_random_lines_is_lowest_everywhere():
    rng = np.random.default_rng(0)
    for _ in range(50):
        charges = rng.permutation(range(-4, 5))[: rng.integers(1, 9)]
        lowest_at_each_level([state("v_A", int(q), rng.normal()) for q in charges], 1.5)


def test_donor_and_acceptor_levels_by_hand():
    # + is stable below E_F = 0.4 (donor), - above 1.1 (acceptor)
    states = [state("v_A", 0, 1.0), state("v_A", 1, 0.6), state("v_A", -1, 2.1)]
    levels = transition_levels(states, 1.5)
    assert [(x.label, x.stable, x.in_gap) for x in levels] == [
        ("(+1/0)", True, True),
        ("(0/-1)", True, True),
    ]
    assert [x.level_eV for x in levels] == pytest.approx([0.4, 1.1])


def test_negative_u_state_is_flagged_and_its_levels_are_metastable():
    # (+/0) at 1.0 lies above (0/-) at 0.2: the neutral state is never lowest; (+/-) at 0.6
    states = [state("v_A", 1, 0.0), state("v_A", 0, 1.0), state("v_A", -1, 1.2)]
    assert [s.key.charge for s in lowest_lines(states)] == [1, -1]
    levels = {x.label: x for x in transition_levels(states, 1.5)}
    assert levels["(+1/-1)"].level_eV == pytest.approx(0.6)
    assert levels["(+1/-1)"].stable
    assert levels["(+1/0)"].level_eV == pytest.approx(1.0)
    assert not levels["(+1/0)"].stable
    assert not levels["(0/-1)"].stable


def test_a_level_outside_the_gap_is_stable_all_the_same():
    states = [state("v_A", 1, 5.0), state("v_A", 0, 1.0)]
    (level,) = transition_levels(states, 1.5)
    assert level.level_eV == pytest.approx(-4.0)
    assert level.stable
    assert not level.in_gap


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


def model_state(charge, members, rms_eV, committee="v_A"):
    """A state of the model: members' energies, and the model's error beside their spread."""
    energies = MemberEnergies(committee, members)
    bar = math.hypot(np.std(members, ddof=1), rms_eV)
    return state("v_A", charge, np.mean(members), uncertainty_eV=bar, members=energies)


def test_what_a_member_gets_wrong_in_both_states_cancels_and_the_model_error_stays():
    common = (0.1, -0.2, 0.3)
    states = [
        model_state(1, common, 0.02),
        model_state(0, tuple(1 + c for c in common), 0.02),
    ]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(math.sqrt(2) * 0.02)


def test_members_that_err_oppositely_widen_the_level():
    states = [model_state(0, (0.1, 0.0, -0.1), 0.0), model_state(-2, (0.9, 1.0, 1.1), 0.0)]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(0.2 / 2)


def test_members_of_two_committees_are_independent():
    members = (0.1, -0.2, 0.3)
    states = [model_state(1, members, 0.02), model_state(0, members, 0.02, "v_A added")]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(math.sqrt(2 * (np.var(members, ddof=1) + 4e-4)))


def test_a_model_state_beside_a_verified_one_keeps_its_whole_bar():
    states = [model_state(1, (0.1, -0.1), 0.0), state("v_A", 0, 0.5, uncertainty_eV=0.03)]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(math.hypot(np.std((0.1, -0.1), ddof=1), 0.03))


def test_two_energies_of_one_key_and_mixed_limits_are_refused():
    with pytest.raises(ThermoError, match="v_A_0 twice"):
        transition_levels([state("v_A", 0, 1.0), state("v_A", 0, 1.1)], 1.0)
    other = FormationEnergy(DefectKey("v_A", 1), "Y-rich", 0.0)
    with pytest.raises(ThermoError, match="X-rich, Y-rich"):
        transition_levels([state("v_A", 0, 1.0), other], 1.0)
