"""How wrong a model is: error tables, calibrated error bars, and checks that stop a blind one."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from defectscape.domain.errors import CheckError, ModelError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.domain.prediction import Prediction
from defectscape.model.calibration import (
    ACROSS_CHARGES,
    FORCE,
    SAME_CHARGE,
    calibrate,
    error_bar,
    moderated,
)
from defectscape.model.checks import check_states
from defectscape.model.committee import Committee
from defectscape.model.errors import error_table

# Error tables: known shifts give known errors.


def shifted(committee, frame, fidelity, energy_eV, force_eV_A) -> LabelledFrame:
    """A label that the committee misses by a known amount."""
    truth = committee.evaluate(frame, fidelity)
    label = Label(truth.energy_eV - energy_eV, truth.forces_eV_A - force_eV_A)
    return LabelledFrame(frame, label, fidelity)


def test_known_shifts_give_known_errors(committee, frame_of) -> None:
    # 7 atoms: an energy shift of 7 meV is 1 meV/atom. Charges -2 and 1 are off by +14 and -14 meV
    # on average, with +-7 meV inside each.
    items = [
        shifted(committee, frame_of(40 + index, charge), "high", energy, 0.01 * (index + 1))
        for index, (charge, energy) in enumerate([(-2, 0.021), (-2, 0.007), (1, -0.021), (1, -0.007)])
    ]
    table = error_table(committee, items)
    rows = {(row.defect, row.charge): row for row in table.rows}
    assert list(rows) == [(None, None), ("v_Cd", None), ("v_Cd", -2), ("v_Cd", 1)]
    total = rows[None, None]
    assert total.fidelity == "high"
    assert total.frames == 4
    assert total.energy_mae_meV_atom == pytest.approx(2.0, abs=1e-5)
    assert total.energy_rmse_meV_atom == pytest.approx(np.sqrt(5.0), abs=1e-5)
    assert total.energy_rmse_constants_refitted_meV_atom == pytest.approx(1.0, abs=1e-5)
    assert total.forces_mae_meV_A == pytest.approx(25.0, abs=1e-5)
    assert total.forces_rmse_meV_A == pytest.approx(np.sqrt(750.0), abs=1e-5)
    assert rows["v_Cd", 1].forces_mae_meV_A == pytest.approx(35.0, abs=1e-5)
    assert rows["v_Cd", 1].energy_mae_meV_atom == pytest.approx(2.0, abs=1e-5)
    assert replace(rows["v_Cd", None], defect=None) == total


def test_parity_pairs_and_refusals(committee, data_of, frame_of) -> None:
    held_out = data_of([50, 51])
    strange = frame_of(52, -1)
    table = error_table(committee, [*held_out, LabelledFrame(strange, Label(0.0, np.zeros((7, 3))), "low")])
    low, high = table.parity
    assert (low.fidelity, high.fidelity) == ("low", "high")
    assert len(low.frame_ids) == 6
    assert len(high.frame_ids) == 3
    assert low.label_forces_eV_A.shape == low.model_forces_eV_A.shape == (42, 3)
    assert low.force_std_eV_A.shape == (42,)
    labels = [item.label.energy_eV for item in held_out if item.fidelity == "low"]
    assert low.label_energy_eV.tolist() == labels
    assert [frame_id for frame_id, _ in table.refused] == [strange.frame_id]


# Calibration: known errors give known factors; what cancels, cancels; few frames give none.


ATOMS = 8


def make(
    count: int,
    seed: int,
    truth: float,
    members: int = 4,
    *,
    charges: tuple[int, ...] = (0, 1),
    member_shift: float = 0.0,
    charge_error: float = 0.0,
    sigma: float = 0.02,
) -> list:
    """Frames whose true error is ``truth`` times what the members' standard deviation stands for.

    Members scatter about their mean by ``sigma``; the mean is off by ``truth * sigma``.
    """
    rng = np.random.default_rng(seed)
    shifts = member_shift * rng.normal(size=members)
    judged = []
    for index in range(count):
        charge = charges[index % len(charges)]
        frame = Frame(
            np.full(ATOMS, 48),
            rng.uniform(0, 9, (ATOMS, 3)),
            9 * np.eye(3),
            DefectKey("v_X", charge),
            1 + charge % 2,
            Origin.RATTLE,
            f"v_X/{index % 3}",
        )
        energy = -100.0 + rng.normal()
        centre = energy + truth * sigma * rng.normal() + charge_error * charge
        scatter = sigma * rng.normal(size=members)
        energies = centre + scatter - scatter.mean() + shifts
        forces = rng.normal(size=(ATOMS, 3))
        force_scatter = sigma * rng.normal(size=(members, ATOMS, 3))
        spread = force_scatter.std(axis=0, ddof=1) if members > 1 else np.full((ATOMS, 3), np.nan)
        std = np.linalg.norm(spread, axis=1)
        label = Label(energy, forces + truth * sigma * rng.normal(size=(ATOMS, 3)))
        point = Prediction(float(energies.mean()), tuple(energies), forces, std)
        judged.append((LabelledFrame(frame, label, "high"), point))
    return judged


def scales(valid, test):
    found = calibrate(valid, test, "high", np.random.default_rng(0))
    return {scale.quantity: scale for scale in found}


@pytest.mark.parametrize("truth", [1.0, 2.0, 4.0])
def test_errors_of_k_standard_deviations_give_the_factor_k(truth) -> None:
    found = scales(make(60, 1, truth), make(60, 2, truth))
    # Forces: many independent components, so the factor is sharp.
    assert found[FORCE].factor68 == pytest.approx(truth, rel=0.12)
    for quantity in (SAME_CHARGE, ACROSS_CHARGES):
        scale = found[quantity]
        assert abs(scale.factor68 - truth) < 4 * scale.factor68_std + 0.15 * truth
        assert scale.after68 == pytest.approx(0.68, abs=0.14)
        # Pairs share frames: few are independent.
        assert scale.after95 == pytest.approx(0.95, abs=0.12)
    assert found[FORCE].after68 == pytest.approx(0.68, abs=0.03)
    assert found[FORCE].after95 == pytest.approx(0.95, abs=0.02)


def test_coverage_before_is_that_of_the_raw_standard_deviation() -> None:
    """A Gaussian error of twice the standard deviation lies within it in 38% of cases."""
    found = scales(make(60, 3, 2.0, members=40), make(60, 4, 2.0, members=40))
    assert found[FORCE].before68 == pytest.approx(0.383, abs=0.03)
    assert found[FORCE].before95 == pytest.approx(0.683, abs=0.03)


def test_what_shifts_a_member_as_a_whole_cancels() -> None:
    plain, shifted = (scales(make(40, 5, 2.0, member_shift=s), []) for s in (0.0, 50.0))
    for quantity in (SAME_CHARGE, ACROSS_CHARGES):
        assert shifted[quantity].factor68 == pytest.approx(plain[quantity].factor68, rel=1e-6)
        assert shifted[quantity].typical == pytest.approx(plain[quantity].typical, rel=1e-6)


def test_an_error_per_charge_is_seen_between_charges_alone() -> None:
    plain, wrong = (scales(make(40, 6, 1.0, charge_error=e), []) for e in (0.0, 1.0))
    assert wrong[SAME_CHARGE].factor68 == pytest.approx(plain[SAME_CHARGE].factor68, rel=1e-6)
    assert wrong[ACROSS_CHARGES].factor68 > 10 * plain[ACROSS_CHARGES].factor68
    assert scales(make(20, 6, 1.0, charges=(0,)), [])[ACROSS_CHARGES].factor68 is None


def test_the_order_of_frames_and_members_does_not_matter() -> None:
    data, test = make(30, 7, 2.0), make(20, 8, 2.0)
    mixed = [
        (item, Prediction(p.energy_eV, p.member_energies_eV[::-1], p.forces_eV_A, p.force_std_eV_A))
        for item, p in data[::-1]
    ]
    one, other = scales(data, test), scales(mixed, test[::-1])
    for quantity, scale in one.items():
        assert other[quantity].factor68 == pytest.approx(scale.factor68)
        assert other[quantity].after68 == pytest.approx(scale.after68)


def test_few_frames_or_a_single_member_give_no_factor() -> None:
    few = scales(make(5, 9, 1.0), make(5, 9, 1.0))
    assert all(scale.factor68 is None for scale in few.values())
    assert few[FORCE].reason == "5 validation frames, 6 are needed"
    alone = scales(make(20, 9, 1.0, members=1), [])
    assert alone[SAME_CHARGE].reason == "a committee of one has no standard deviation"
    assert scales([], [])[FORCE].factor68 is None
    assert error_bar(few[SAME_CHARGE], [1.0, 2.0]) is None


def test_an_accidentally_small_standard_deviation_gives_no_absurd_bar() -> None:
    scale = scales(make(60, 10, 2.0, members=2), [])[SAME_CHARGE]
    same = error_bar(scale, [0.5, 0.5])
    typical = error_bar(scale, [0.0, np.sqrt(2) * scale.typical])
    assert typical == pytest.approx(scale.factor68 * scale.typical)
    assert same > 0.5 * typical
    assert error_bar(scale, [0.0, 100 * scale.typical]) > 20 * typical


def test_many_members_need_no_moderation() -> None:
    assert moderated(0.3, 5.0, 10_000) == pytest.approx(0.3, rel=0.05)
    assert moderated(0.0, 1.0, 2) == pytest.approx(np.sqrt(3 / 4))


# Checks pass a model that sees charge and fidelity, and stop one that does not.


FIDELITIES = ("low", "high")


def test_trained_committee_passes(committee, frame_of, data_of) -> None:
    frame = frame_of(30, 0)
    report = check_states(committee, frame, (-2, 0, 1), FIDELITIES)
    assert set(report.energies_eV) == {"training file", "calculator", "batch"}
    assert all(len(energies) == 6 for energies in report.energies_eV.values())
    assert report.disagreement_eV < 1e-6
    assert report.charge_split_eV_A > 1e-3
    assert report.fidelity_split_eV_A > 1e-3
    # Raw energies come out on the engines' own scales.
    for item in data_of([30]):
        energy = report.energies_eV["batch"][item.frame.charge, item.fidelity]
        assert energy == pytest.approx(item.label.energy_eV, abs=0.2)


def test_charge_blind_model_fails_the_charge_check(committee, frame_of) -> None:
    members = tuple(copy.deepcopy(network) for network in committee.members)
    for network in members:
        torch.nn.init.zeros_(network.joint_embedding.project[0].weight)
        network.charge_reference_eV[:] = network.charge_reference_eV[:, :1]
    blind = Committee(members)
    with pytest.raises(CheckError, match=r"charge check.*-2 at low and 0 at low differ by 0"):
        check_states(blind, frame_of(31, 0), (-2, 0), FIDELITIES)
    # One charge only: nothing to compare, and the fidelities do differ.
    report = check_states(blind, frame_of(31, 0), (0,), FIDELITIES)
    assert report.charge_split_eV is None
    assert report.fidelity_split_eV > 0


def test_constant_per_charge_is_not_enough(committee, frame_of) -> None:
    # Embedding switched off after training: the references still split the energies by 11 eV.
    members = tuple(copy.deepcopy(network) for network in committee.members)
    for network in members:
        torch.nn.init.zeros_(network.joint_embedding.project[0].weight)
    with pytest.raises(CheckError, match="by a constant only"):
        check_states(Committee(members), frame_of(32, 0), (-2, 0, 1), FIDELITIES)


def test_equal_heads_fail_the_fidelity_check(committee, frame_of) -> None:
    members = tuple(copy.deepcopy(network) for network in committee.members)
    for network in members:
        # Constants of the references alone tell these heads apart.
        for readout in network.readouts:
            for parameter in readout.parameters():
                torch.nn.init.zeros_(parameter)
    with pytest.raises(CheckError, match="by a constant only"):
        check_states(Committee(members), frame_of(33, 0), (0,), FIDELITIES)


def test_unseen_state_is_an_error_of_its_own(committee, frame_of) -> None:
    with pytest.raises(ModelError, match="-1"):
        check_states(committee, frame_of(34, 0), (-1, 0), FIDELITIES)
