"""Physics of what the figures show: slopes, kinks, relative positions, labels that stay apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectscape.report.figures.coordinates import ccd_curves
from defectscape.report.figures.formation import (
    ChargeLine,
    energy_range,
    fermi_range,
    formation_lines,
    lower_envelope,
)
from defectscape.report.figures.levels import level_marks, spread
from defectscape.report.figures.parity import parity_by_fidelity
from defectscape.report.figures.search import search_by_defect, search_strip
from defectscape.report.figures.times import rule_times
from defectscape.report.figures.training import training_by_group
from defectscape.report.figures.verification import verification_errors
from defectscape.report.names import charge_text
from defectscape.summary.schema import SearchPoint


def test_formation_energy_rises_by_the_charge_per_eV_of_fermi_level(summary):
    for lines in formation_lines(summary, "Te-rich").values():
        for line in lines:
            assert line.at(0.75) - line.at(0.25) == pytest.approx(0.5 * line.charge)
            assert line.at(0.0) == line.energy_eV


def test_kinks_of_the_envelope_are_the_stable_levels_of_the_summary(summary):
    for limit in ("Cd-rich", "Te-rich"):
        for name, lines in formation_lines(summary, limit).items():
            hull = lower_envelope(lines, 0.0, summary.host.gap_eV)
            stable = sorted(row.level_eV for row in summary.levels if row.defect == name and row.stable and row.in_gap)
            assert hull.kinks_eV == pytest.approx(stable)


def test_negative_u_defect_skips_the_middle_charge():
    # E(+1) lies above the crossing of E(+2) and E(0): +1 is never stable.
    lines = (ChargeLine(2, 0.0), ChargeLine(1, 1.5), ChargeLine(0, 2.0))
    hull = lower_envelope(lines, 0.0, 2.0)
    assert [line.charge for line in hull.lines] == [2, 0]
    assert hull.kinks_eV == pytest.approx((1.0,))


def test_three_lines_through_one_point_make_one_kink():
    lines = (ChargeLine(1, 0.0), ChargeLine(0, 1.0), ChargeLine(-1, 2.0))
    hull = lower_envelope(lines, 0.0, 2.0)
    assert [line.charge for line in hull.lines] == [1, -1]
    assert hull.kinks_eV == pytest.approx((1.0,))


@given(
    st.dictionaries(st.integers(-4, 4), st.floats(-3, 3), min_size=1, max_size=6),
    st.floats(0.2, 4.0),
)
def test_envelope_is_the_minimum_everywhere_and_concave(energies, gap):
    lines = [ChargeLine(q, e) for q, e in energies.items()]
    hull = lower_envelope(lines, 0.0, gap)
    grid = np.linspace(0.0, gap, 41)
    drawn = np.interp(grid, hull.fermi_eV, hull.energy_eV)
    lowest = np.min([[line.at(x) for x in grid] for line in lines], axis=0)
    assert np.allclose(drawn, lowest, atol=1e-9)
    slopes = [line.charge for line in hull.lines]
    assert slopes == sorted(slopes, reverse=True)
    assert len(hull.fermi_eV) == len(hull.lines) + 1


def test_drawn_energies_hold_every_hull(summary):
    hulls = [lower_envelope(lines, *fermi_range(summary)) for lines in formation_lines(summary, "Cd-rich").values()]
    low, high = energy_range(hulls)
    for hull in hulls:
        assert low < min(hull.energy_eV) <= max(hull.energy_eV) < high


def test_envelope_needs_a_line_and_a_range():
    with pytest.raises(ValueError, match="at least one line"):
        lower_envelope([], 0.0, 1.0)
    with pytest.raises(ValueError, match="low_eV < high_eV"):
        lower_envelope([ChargeLine(0, 1.0)], 1.0, 1.0)


def test_level_marks_keep_levels_and_leave_out_those_outside_the_gap(summary):
    marks = level_marks(summary)
    inside = [row for row in summary.levels if row.in_gap]
    assert sorted(mark.level_eV for mark in marks) == sorted(row.level_eV for row in inside)
    assert "0/−1" in {mark.text for mark in marks if mark.column == 0}
    low, high = fermi_range(summary)
    assert low < 0.0 < summary.host.gap_eV < high


@given(st.lists(st.floats(0, 2), max_size=8), st.floats(0.01, 0.3))
def test_spread_labels_keep_order_and_distance_and_centre(values, distance):
    moved = spread(values, distance)
    order = sorted(range(len(values)), key=lambda i: values[i])
    gaps = np.diff([moved[i] for i in order])
    assert np.all(gaps >= distance - 1e-9)
    assert np.mean(moved or [0]) == pytest.approx(np.mean(values or [0]), abs=1e-9)


def test_labels_far_apart_do_not_move():
    assert spread([0.9, 0.1, 0.5], 0.2) == pytest.approx([0.9, 0.1, 0.5])


def test_final_curve_lies_at_the_level_and_reversal_flips_it(summary):
    forward = summary.ccd[0]
    curves = ccd_curves(forward)
    # Capturing an electron at E_F = VBM costs the level: 0 to -1 goes up by e(0/-1).
    assert curves.offset_eV == pytest.approx(forward.level_eV)
    shift = np.subtract(curves.final_eV, forward.final_eV)
    assert shift == pytest.approx(np.full(len(shift), forward.level_eV))
    assert curves.initial_eV == tuple(forward.initial_eV)
    backward = forward.model_copy(
        update={"initial_charge": forward.final_charge, "final_charge": forward.initial_charge}
    )
    assert ccd_curves(backward).offset_eV == pytest.approx(-forward.level_eV)


def test_failed_relaxations_do_not_stretch_the_strip(summary):
    strip = search_by_defect(summary)["v_Cd"]
    low, high = strip.window_eV
    assert -0.2 < low < 0.0 < 0.561 < high < 1.0
    for point, drawn in zip(strip.points, strip.drawn_eV, strict=True):
        assert low < drawn < high
        if point.converged:
            assert drawn == point.energy_above_lowest_eV
    assert strip.starts[-1].startswith("local rattle")
    assert strip.starts[0] in ("dimer of Te neighbours", "bond distortion -60% of 2 neighbours")


def test_strip_of_failures_only_still_has_a_window():
    point = SearchPoint(key="v_Cd_0", start="a", energy_above_lowest_eV=9.0, converged=False, reason="step limit")
    strip = search_strip([point])
    assert strip.window_eV[0] < strip.drawn_eV[0] < strip.window_eV[1]


def test_verification_errors_are_the_verified_minima_in_meV(summary):
    errors = verification_errors(summary)
    assert len(errors) == 10
    assert errors[0].error_meV == pytest.approx(12.3)
    assert not any(entry.key == "Te_Cd (+2)" for entry in errors)


def test_high_fidelity_parity_comes_first(summary):
    assert list(parity_by_fidelity(summary)) == ["ipea1", "gfn1"]


def test_training_curves_are_grouped_by_committee(summary):
    groups = training_by_group(summary)
    assert list(groups) == ["v_Cd/round_0", "v_Cd/round_1", "final"]
    assert [curve.model for curve in groups["final"]] == ["final/0", "final/1", "final/2"]


@pytest.mark.parametrize(("charge", "text"), [(2, "+2"), (0, "0"), (-1, "−1")])
def test_charges_carry_their_sign(charge, text):
    assert charge_text(charge) == text


def test_shares_of_wall_time_fall_and_add_up(summary):
    rules, shares = rule_times(summary)
    assert rules[0] == "train"
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100)
