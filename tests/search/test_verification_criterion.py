"""Certainty of a ground state: candidates within the model's own errors keep it open."""

from dataclasses import replace

import numpy as np
import pytest

from defectscape.domain.label import Label
from defectscape.domain.minimum import PLAIN, Minimum, VerifiedMinimum
from defectscape.search.verification_criterion import assess, next_to_verify, search_error_eV
from defectscape.settings.search import VerificationSettings


@pytest.fixture
def minimum(vacancy):
    def make(rank, energy_eV, spread_eV=0.0):
        members = (energy_eV - spread_eV, energy_eV + spread_eV)
        return Minimum(rank, vacancy, energy_eV, members, 0.01, 0.01, (f"start {rank}",), rank == 0)

    return make


def settings(tolerance_eV=0.02, **given):
    """Without a plain relaxation; forces and errors are taken for small, unless a test is about them."""
    usual = {"minima_per_charge": 1, "plain_relaxation": False, "fmax_eV_A": 9.0, "search_error_eV": 9.0}
    return VerificationSettings(**{**usual, "tolerance_eV": tolerance_eV, **given})


def engine(minimum, energy_eV, relaxed_eV=None, left_eV_A=0.0, steps=0):
    """A minimum with what the engine says of it, before and after its own relaxation."""
    forces = np.zeros((len(minimum.frame), 3))
    forces[0, 0] = left_eV_A
    final = Label(energy_eV if relaxed_eV is None else relaxed_eV, forces)
    return VerifiedMinimum(minimum, Label(energy_eV, forces), minimum.frame, final, steps)


def test_all_verified_is_certain(minimum) -> None:
    minima = [minimum(0, -10.0), minimum(1, -9.8)]
    found = assess(minima, [engine(minima[0], -10.1), engine(minima[1], -9.9)], settings())
    assert found.certain
    assert found.text == "all 2 minima found were verified"


def test_a_far_candidate_is_none_and_a_near_one_is(minimum) -> None:
    minima = [minimum(0, -10.0), minimum(1, -9.95), minimum(2, -9.94), minimum(3, -9.0)]
    verified = [engine(minima[0], -10.1), engine(minima[1], -10.04)]
    found = assess(minima, verified, settings())
    # Errors are 0.10 and 0.09 eV, so the scatter is the least one; minimum 2 is 0.06 eV above.
    assert found.certain
    doubtful = [engine(minima[0], -10.1), engine(minima[1], -9.95)]
    open_ = assess(minima, doubtful, settings())
    assert not open_.certain
    assert open_.candidates_below == (2,)
    assert "1 unverified minimum could be lower" in open_.text


def test_a_constant_error_of_the_model_changes_nothing(minimum) -> None:
    minima = [minimum(0, -10.0), minimum(1, -9.95), minimum(2, -9.93)]

    def found(verified):
        return assess(minima, verified, settings()).candidates_below

    for shift in (0.0, 5.0):
        verified = [engine(minima[0], -10.1 + shift), engine(minima[1], -10.04 + shift)]
        assert found(verified) == found(verified[::-1])
    one = assess(minima, [engine(minima[0], -10.1)], settings())
    other = assess(minima, [engine(minima[0], -5.1)], settings())
    assert one == other
    assert one.candidates_below == (1, 2), "a single error leaves both open"


def test_a_committee_that_disagrees_keeps_a_rival_open(minimum) -> None:
    sure = [minimum(0, -10.0), minimum(1, -9.8)]
    unsure = [sure[0], minimum(1, -9.8, spread_eV=0.2)]
    verified = [engine(sure[0], -10.1), engine(minimum(5, -9.7), -9.8)]
    assert assess(sure, verified, settings()).certain
    assert assess(unsure, verified, settings()).candidates_below == (1,)
    assert assess(unsure, verified, settings(1.0)).certain


def test_a_lower_label_from_training_leaves_it_open(minimum) -> None:
    minima = [minimum(0, -10.0), minimum(1, -9.0)]
    verified = [engine(minima[0], -10.1)]
    assert assess(minima, verified, settings(), known_eV=-10.11).certain
    found = assess(minima, verified, settings(), known_eV=-10.85)
    assert not found.certain
    assert found.text == "a structure that was labelled for training lies 0.75 eV lower"


def test_a_failure_of_the_engine_leaves_it_open(minimum) -> None:
    minima = [minimum(0, -10.0), minimum(1, -9.0)]
    broken = replace(engine(minima[1], -9.0), label=None, final_label=None)
    found = assess(minima, [engine(minima[0], -10.1), broken], settings())
    assert (found.certain, found.candidates_below) == (False, (1,))
    assert found.text == "the engine failed on minimum 1"
    assert assess(minima, [], settings()).text == "no minimum was verified"


def test_a_relaxation_that_ended_early_leaves_it_open(minimum) -> None:
    minima = [minimum(0, -10.0), minimum(1, -9.8)]
    ground = engine(minima[0], -10.1)
    # 0.6 eV/A on one atom: 0.18 eV along a soft mode, twice that as a bound.
    ended = engine(minima[1], -9.8, -9.9, left_eV_A=0.6, steps=8)
    found = assess(minima, [ground, ended], settings())
    assert (found.certain, found.candidates_below) == (False, (1,))
    assert found.text == ("1 verified minimum could fall lower, as the relaxation ended early, by 0.16 eV at most")
    assert assess(minima, [ground, ended], settings(0.17)).certain
    assert assess(minima, [ground, engine(minima[1], -9.8, -9.9, left_eV_A=0.4)], settings()).certain
    # What the ground state itself may still gain is in its error bar, not in doubt of which it is.
    assert assess(minima, [engine(minima[0], -10.1, left_eV_A=1.0), ended], settings(0.17)).certain
    assert assess(minima, [ground, ended], settings(), same=(1,)).certain, "it ended in the ground state's minimum"
    both = assess([*minima, minimum(2, -10.3)], [ground, ended], settings())
    assert both.candidates_below == (2, 1), "the most dangerous first"
    assert both.text.startswith("1 unverified minimum could be lower")
    assert "; 1 verified minimum could fall lower" in both.text


def test_verification_goes_on_until_certain_or_out_of_budget(minimum) -> None:
    minima = [minimum(0, -10.0), minimum(1, -9.97), minimum(2, -9.95), minimum(3, -9.0)]
    truth = {0: -10.05, 1: -10.12, 2: -9.97, 3: -9.1}
    usual = settings(0.01)

    def run(limit):
        verified = [engine(minima[0], truth[0])]
        chosen = usual.model_copy(update={"most_per_charge": limit})
        while waiting := next_to_verify(minima, verified, {item.minimum.rank: 1 for item in verified}, chosen):
            verified.append(engine(minima[waiting[0]], truth[waiting[0]]))
        return [item.minimum.rank for item in verified]

    assert run(4) == [0, 1, 2]
    assert run(2) == [0, 1]
    assert run(1) == [0]


def test_only_a_relaxation_that_used_its_steps_goes_on(minimum) -> None:
    minima = [minimum(0, -10.0), minimum(1, -9.8)]
    usual = settings(most_per_charge=4, relax_steps=8)

    def asked(steps, turns, **changed):
        ended = engine(minima[1], -9.8, -9.9, left_eV_A=0.6, steps=steps)
        verified = [engine(minima[0], -10.1), ended]
        chosen = usual.model_copy(update=changed)
        return next_to_verify(minima, verified, {0: 1, 1: turns}, chosen)

    assert asked(8, 1) == [1]
    assert asked(16, 2) == [1]
    assert asked(7, 1) == [], "it came to its end, or a label failed"
    assert asked(8, 2) == [], "a second turn that brought no step"
    assert asked(8, 1, most_per_charge=2) == []
    assert asked(0, 1, relax_steps=0) == []


def test_the_ground_state_s_own_relaxation_comes_last(minimum) -> None:
    minima = [minimum(0, -10.0), minimum(1, -9.8)]
    usual = settings(most_per_charge=9, relax_steps=8, fmax_eV_A=0.2)

    def asked(ground_eV_A, rival_eV_A):
        verified = [
            engine(minima[0], -10.1, left_eV_A=ground_eV_A, steps=8),
            engine(minima[1], -9.8, -9.9, left_eV_A=rival_eV_A, steps=8),
        ]
        return next_to_verify(minima, verified, {0: 1, 1: 1}, usual)

    assert asked(0.6, 0.6) == [1]
    assert asked(0.6, 0.1) == [0]
    assert asked(0.1, 0.1) == [], "both below the force asked for"


def test_what_is_not_finished_is_open(minimum) -> None:
    """Neither the ground state's own relaxation nor the plain one may be cut short, and nothing known lies lower."""
    minima = [minimum(0, -10.0), minimum(1, -9.8)]
    strict = settings(plain_relaxation=True, fmax_eV_A=0.05)

    def plain(item):
        return replace(item, minimum=replace(item.minimum, found_from=(PLAIN,)))

    ground, other = engine(minima[0], -10.1, left_eV_A=0.04), engine(minima[1], -9.9, left_eV_A=0.04)
    assert assess(minima, [ground, plain(other)], strict).status == "certain"
    assert assess(minima, [plain(ground), other], strict).status == "certain"
    cut = assess(minima, [engine(minima[0], -10.1, left_eV_A=0.44), plain(other)], strict)
    assert (cut.status, cut.text) == ("open", "its relaxation is not finished: 0.44 eV/A left, 0.05 asked for")
    cut = assess(minima, [ground, plain(engine(minima[1], -9.9, left_eV_A=0.1))], strict)
    text = "the relaxation of the unperturbed start is not finished: 0.10 eV/A left, 0.05 asked for"
    assert (cut.status, cut.text) == ("open", text)
    missing = assess(minima, [ground, other], strict)
    assert (missing.status, missing.text) == ("open", "the relaxation of the unperturbed start with the engine failed")
    assert assess(minima, [ground, other], settings(fmax_eV_A=0.05)).status == "certain", "not asked for"
    assert assess(minima, [ground, plain(other)], strict, known_eV=-10.2).status == "open"


def test_a_model_that_erred_leaves_a_finished_state_uncertain(minimum) -> None:
    minima = [minimum(0, -10.0), minimum(1, -9.8)]
    usual = settings(search_error_eV=0.2)
    fell = [engine(minima[0], -10.1, -10.4, steps=6), engine(minima[1], -9.9)]
    assert search_error_eV(fell) == pytest.approx(0.3), "by the engine's own relaxation"
    found = assess(minima, fell, usual)
    assert (found.status, found.text) == ("verified", "the model that searched errs by up to 0.30 eV on what it found")
    apart = [engine(minima[0], -10.1), engine(minima[1], -9.3)]
    assert search_error_eV(apart) == pytest.approx(0.3), "against each other"
    assert assess(minima, apart, usual).status == "verified"
    assert search_error_eV([engine(minima[0], -5.0), engine(minima[1], -4.8)]) == pytest.approx(0.0, abs=1e-12)


def test_a_bar_above_the_tolerance_is_not_certain(minimum) -> None:
    minima = [minimum(0, -10.0)]
    found = assess(minima, [engine(minima[0], -10.1)], settings())
    assert found.within(0.019, 0.02) is found
    assert found.status == "certain"
    wide = found.within(0.05, 0.02)
    assert (wide.status, wide.text) == ("verified", "its energy may still fall by 0.050 eV")
    cut = assess(minima, [engine(minima[0], -10.1, left_eV_A=0.4)], settings(fmax_eV_A=0.05))
    assert cut.within(0.05, 0.02).status == "open"
