"""Energies must follow from the forces around them; a label that jumps is found, and only that one."""

import numpy as np
import pytest

from defectscape.domain.consistency import find_energy_jumps
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame

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
