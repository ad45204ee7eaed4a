"""Calibration: known errors give known factors; what cancels, cancels; few frames give none."""

import numpy as np
import pytest

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
