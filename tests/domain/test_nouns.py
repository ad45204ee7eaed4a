"""The nouns of the field: frames, defect keys, other programs' names, labels that agree, means of errors."""

import math

import numpy as np
import pytest

from defectscape.domain.consistency import find_energy_jumps
from defectscape.domain.errors import DefectError, LabelError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey, format_charge, parse_charge
from defectscape.domain.label import Label, LabelledFrame
from defectscape.domain.seeds import derive_seed
from defectscape.domain.spelling import is_ours, names_meant, our_name, turned
from defectscape.domain.statistics import less_group_means, rms

# Frames: the geometry hash sees what matters, and nothing else; the spin rule; seeds.


def frame(shift_A: float = 0.0, charge: int = 0, defect: str = "v_Cd") -> Frame:
    numbers = np.array([48, 52, 52])
    positions = np.array([[0.0, 0, 0], [1.6, 1.6, 1.6], [3.2, 3.2, 1.6 + shift_A]])
    return Frame(
        numbers,
        positions,
        np.eye(3) * 6.6,
        DefectKey(defect, charge),
        lowest_multiplicity(numbers, charge),
        Origin.START,
        f"{defect}/unperturbed",
    )


def test_hash_sees_positions_beyond_the_rounding_only() -> None:
    assert frame(1e-7).geometry_hash == frame().geometry_hash
    assert frame(1e-4).geometry_hash != frame().geometry_hash


def test_hash_sees_the_charge_but_not_the_name_of_the_defect() -> None:
    assert frame(charge=2).geometry_hash != frame().geometry_hash
    assert frame(defect="other").geometry_hash == frame().geometry_hash


def test_odd_electron_counts_are_doublets() -> None:
    numbers = np.array([48, 52])
    assert [lowest_multiplicity(numbers, charge) for charge in (-1, 0, 1)] == [2, 1, 2]


def test_recharging_keeps_geometry_and_family_and_applies_the_spin_rule() -> None:
    other = frame().recharged(-1, origin=Origin.START, note="cross-seed")
    assert (other.charge, other.multiplicity, other.family) == (-1, 2, frame().family)
    assert other.parent == frame().frame_id
    np.testing.assert_array_equal(other.positions_A, frame().positions_A)


def test_frames_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        frame().positions_A[0, 0] = 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_never_enter(value: float) -> None:
    with pytest.raises(LabelError, match="NaN or infinity"):
        frame(shift_A=value)
    with pytest.raises(LabelError, match="energy"):
        Label(value, np.zeros((2, 3)))
    with pytest.raises(LabelError, match="forces"):
        Label(0.0, np.full((2, 3), value))


def test_seeds_depend_on_every_part_and_their_borders() -> None:
    seeds = {derive_seed(*parts) for parts in [(1, "a", "b"), (1, "ab"), (2, "a", "b"), (1, "b", "a")]}
    assert len(seeds) == 4
    assert derive_seed(2026, "train", "v_Cd", 0) == derive_seed(2026, "train", "v_Cd", 0)


# Defect keys are written one way only, with the sign of the charge.


@pytest.mark.parametrize("text", ["v_Cd_-2", "v_Te_+1", "v_Sb_1_0", "Te_Cd_+2", "i_Te_2_-1"])
def test_keys_survive_a_round_trip(text: str) -> None:
    assert str(DefectKey.parse(text)) == text


def test_index_is_not_taken_for_a_charge() -> None:
    assert DefectKey.parse("v_Sb_1_-3") == DefectKey("v_Sb_1", -3)
    with pytest.raises(DefectError, match="signed charge"):
        DefectKey.parse("v_Sb_1")


@pytest.mark.parametrize("text", ["1", "++1", "+0", "-0", "", "+1.0", "01", "-02"])
def test_charges_without_a_proper_sign_are_refused(text: str) -> None:
    with pytest.raises(DefectError, match="sign"):
        parse_charge(text)


@pytest.mark.parametrize("charge", [-3, -1, 0, 1, 4])
def test_charges_survive_a_round_trip(charge: int) -> None:
    assert parse_charge(format_charge(charge)) == charge


@pytest.mark.parametrize("name", ["", "_v", "v__Cd", "v Cd", "../v_Cd", "v_Cd;rm"])
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(DefectError, match="defect name"):
        DefectKey(name, 0)


# Other programs' names of defects.


KNOWN = {"v_Cd": "v_Cd", "Te_Cd": "Te_Cd", "i_Cd_1": "Cd_i_Td_Te2.83", "i_Cd_2": "Cd_i_C3v", "v_Sb_1": "v_Sb_Cs_Se2.6"}


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        *[(name, "v_Cd") for name in ("V_Cd", "Va_Cd1", "Vac_Cd", "vac_1_Cd", "v_cd", "v_Cd_Td_Te2.83", "vacancy_Cd")],
        *[(name, "i_Cd") for name in ("Cd_i", "int_Cd", "Cd_i_Td_Te2.83", "inter_1_Cd", "Cd_int")],
        *[(name, "Te_Cd") for name in ("te_cd", "Te_Cd1", "as_1_Te_on_Cd", "sub_1_Te_on_Cd", "Te_Cd_Td_Te2.83")],
        *[(name, None) for name in ("", "_", "Cd", "vacancy", "i", "hello world")],
    ],
)
def test_a_name_in_ours(name: str, ours: str | None) -> None:
    assert our_name(name) == ours


def test_the_hosts_names_that_were_meant() -> None:
    assert names_meant("Cd_i_C3v", KNOWN) == ("i_Cd_2",)
    assert names_meant("Cd_i", KNOWN) == ("i_Cd_1", "i_Cd_2")
    assert names_meant("v_Sb", KNOWN) == ("v_Sb_1",)
    assert names_meant("V_Zn", KNOWN) == ()
    assert names_meant("v_Sb_Cs", KNOWN) == ("v_Sb_1",)


def test_our_form_and_interstitials_written_the_other_way() -> None:
    assert all(is_ours(name) for name in ("v_Cd", "Cl_Te", "i_Cu", "i_Cu_12", "V_Cd", "v_Sb_1"))
    assert not any(is_ours(name) for name in ("Cd_i", "Cd_i_C3v", "v_Cd_Td_Te2.83", "Vac_Cd", "v_Sb_0", "host"))
    assert [turned(name) for name in ("Cd_i", "Cd_i_2", "Cd_i_C3v", "v_Cd")] == ["i_Cd", "i_Cd_2", "Cd_i_C3v", "v_Cd"]


# Energies must follow from the forces around them; a label that jumps is found, and only that one.


CELL = np.eye(3) * 9.0
SITES = np.array([[0.1, 0, 0], [4.4, 0, 0], [0, 4.5, 0], [0, 0, 4.5], [4.5, 4.5, 4.5]])
LIMIT_EV = 0.5


def surface(positions: np.ndarray) -> tuple[float, np.ndarray]:
    """A stiff, anharmonic crystal: springs of 5 eV/A^2 with a cubic term."""
    u = positions - SITES
    return float(np.sum(2.5 * u**2 + 0.8 * u**3)), -(5.0 * u + 2.4 * u**2)


def labelled(seed: int, charge: int = 0, jump_eV: float = 0.0, wrap: int = 0) -> LabelledFrame:
    """A rattled frame with its exact label, its energy off by ``jump_eV``."""
    positions = SITES + np.random.default_rng(seed).normal(0, 0.08, SITES.shape)
    energy, forces = surface(positions)
    frame = Frame(
        np.full(5, 34),
        positions + wrap * 9.0,
        CELL,
        DefectKey("v_Sb", charge),
        1,
        Origin.RATTLE,
        "f",
    )
    return LabelledFrame(frame, Label(energy + jump_eV, forces), "pbe")


def test_labels_of_one_surface_agree() -> None:
    data = [labelled(seed) for seed in range(20)]
    assert np.ptp([item.label.energy_eV for item in data]) > 0.1
    assert find_energy_jumps(data, LIMIT_EV) == ()


@pytest.mark.parametrize("jump_eV", [-1.5, 1.5])
def test_the_label_that_jumps_is_found_and_none_of_its_neighbours(jump_eV: float) -> None:
    data = [labelled(seed, jump_eV=jump_eV if seed == 7 else 0.0) for seed in range(20)]
    (found,) = find_energy_jumps(data, LIMIT_EV)
    assert found.frame_id == data[7].frame.frame_id
    assert found.residual_eV == pytest.approx(jump_eV, abs=0.3)


def test_a_jump_within_the_limit_is_allowed() -> None:
    data = [labelled(seed, jump_eV=0.3 if seed == 7 else 0.0) for seed in range(20)]
    assert find_energy_jumps(data, LIMIT_EV) == ()
    assert len(find_energy_jumps(data, 0.05)) == 1


def test_charge_states_are_not_compared() -> None:
    data = [labelled(seed) for seed in range(10)]
    data += [labelled(seed, charge=-1, jump_eV=-9.0) for seed in range(10)]
    assert find_energy_jumps(data, LIMIT_EV) == ()


def test_an_atom_counted_in_another_image_has_not_moved() -> None:
    data = [labelled(seed, wrap=seed % 2) for seed in range(20)]
    assert find_energy_jumps(data, LIMIT_EV) == ()


def test_forces_of_the_wrong_sign_contradict_the_energies() -> None:
    data = [labelled(seed) for seed in range(20)]
    wrong = [LabelledFrame(d.frame, Label(d.label.energy_eV, -d.label.forces_eV_A), "pbe") for d in data]
    assert len(find_energy_jumps(wrong, 0.01)) > 10


def test_another_minimum_far_away_contradicts_nobody() -> None:
    data = [labelled(seed) for seed in range(10)]
    far = data[0].frame.positions_A + np.array([[0.8, 0, 0], *[[0.0, 0, 0]] * 4])
    frame = Frame(data[0].frame.numbers, far, CELL, data[0].frame.key, 1, Origin.MINIMUM, "f")
    found = LabelledFrame(frame, Label(-4.0, np.zeros((5, 3))), "pbe")
    assert find_energy_jumps([*data, found], LIMIT_EV) == ()


def test_too_few_frames_are_no_evidence() -> None:
    assert find_energy_jumps([labelled(0), labelled(1, jump_eV=5.0)], LIMIT_EV) == ()


# Means of errors: the root mean square, and what is left when each group has lost its mean.


def test_root_mean_square_of_all_entries() -> None:
    assert rms([[3.0, -4.0], [0.0, 5.0]]) == pytest.approx(math.sqrt(50 / 4))
    assert rms(np.float32([2.0])) == 2.0
    assert math.isnan(rms([]))


def test_each_group_loses_its_own_mean() -> None:
    values = np.array([1.0, 10.0, 3.0, 14.0, 7.0])
    expected = [-1.0, -2.0, 1.0, 2.0, 0.0]
    names = np.array(["a", "b", "a", "b", "c"])
    assert less_group_means(values, names).tolist() == expected
    # Rows are one group if they agree in every column.
    rows = np.array([[0, 1], [1, 1], [0, 1], [1, 1], [0, 2]])
    assert less_group_means(values, rows).tolist() == expected
