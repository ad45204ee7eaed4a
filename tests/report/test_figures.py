"""Figures: the numbers that they show, their files, and their markers in the page."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectscape.report.figures.concentrations import draw_concentrations
from defectscape.report.figures.coordinates import ccd_curves, draw_coordinates
from defectscape.report.figures.errors import draw_verification, parity_by_fidelity, verification_errors
from defectscape.report.figures.formation import (
    ChargeLine,
    draw_formation,
    energy_range,
    fermi_range,
    formation_lines,
    lower_envelope,
)
from defectscape.report.figures.levels import draw_levels, level_marks, spread
from defectscape.report.figures.search import draw_search, search_by_defect, search_strip
from defectscape.report.figures.study import StudyFigure, study_figures, write_figures
from defectscape.report.figures.style import Plot, marker, plot, styled
from defectscape.report.figures.svg import to_svg
from defectscape.report.figures.times import rule_times
from defectscape.report.figures.training import training_by_group
from defectscape.report.names import charge_text
from defectscape.summary.schema import PathPoint, SearchPoint

# Figures: what is drawn is what was found; files in both formats, the same bytes each time.


STEMS = {
    "formation_energies_Cd-rich",
    "formation_energies_Te-rich",
    "levels",
    "concentrations_Cd-rich",
    "concentrations_Te-rich",
    "configuration_coordinates_v_Cd_0_-1",
    "configuration_coordinates_v_Cd_-1_-2",
    "configuration_coordinates_Te_Cd_+1_0",
    "search_v_Cd",
    "search_Te_Cd",
    "verification",
    "parity_ipea1_energies",
    "parity_ipea1_force_components",
    "parity_gfn1_energies",
    "parity_gfn1_force_components",
    "calibration",
    "training_energy",
    "training_force",
    "label_times",
    "rule_times",
}


def test_figures_have_names_for_files(figures):
    assert {figure.stem for figure in figures} == STEMS


def test_files_in_both_formats_are_the_same_every_time(tmp_path, summary):
    def drawn():
        return [StudyFigure("levels", "", "", draw_levels(summary))]

    first = write_figures(drawn(), tmp_path / "a")
    second = write_figures(drawn(), tmp_path / "b")
    assert [path.name for path in first] == ["levels.png", "levels.pdf"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert one.read_bytes()[:4] == (b"%PDF" if one.suffix == ".pdf" else b"\x89PNG")


def test_names_that_make_one_file_name_make_two_files(tmp_path, summary):
    drawn = draw_levels(summary)
    figures = [StudyFigure("levels", name, "", drawn) for name in ("A/rich", "A rich", "../A")]
    names = [path.name for path in write_figures(figures, tmp_path) if path.suffix == ".png"]
    assert names == ["levels_A_rich.png", "levels_A_rich_2.png", "levels_.._A.png"]


def test_hull_drawn_in_the_figure_has_the_slope_of_the_charge(summary):
    axes = draw_formation(summary, "Te-rich").axes
    hull = next(line for line in axes.lines if line.get_label() == "v_Cd")
    x, y = hull.get_xdata(), hull.get_ydata()
    slopes = [(y[i + 1] - y[i]) / (x[i + 1] - x[i]) for i in range(len(x) - 1)]
    assert [round(slope) for slope in slopes] == [0, -1, -2]


def test_levels_are_drawn_at_their_energies(summary):
    axes = draw_levels(summary).axes
    heights = {round(float(line.get_ydata()[0]), 6) for line in axes.lines}
    for row in summary.levels:
        assert (round(row.level_eV, 6) in heights) is row.in_gap


def test_concentrations_are_totals_over_charges(summary):
    axes = draw_concentrations(summary, "Te-rich").axes
    rows = sorted(
        (row for row in summary.equilibria if row.limit == "Te-rich"),
        key=lambda row: row.annealing_K,
    )
    (line,) = [line for line in axes.lines if line.get_label() == "v_Cd"]
    expected = [sum(state.operating_cm3 for state in row.states if state.defect == "v_Cd") for row in rows]
    assert list(line.get_ydata()) == expected
    assert list(line.get_xdata()) == [600.0, 800.0, 1000.0]


def test_verification_errors_are_drawn_in_meV(summary):
    axes = draw_verification(summary).axes
    drawn = sorted(float(y) for line in axes.lines for y in line.get_ydata() if line.get_ls() == "None")
    expected = sorted(
        1e3 * entry.model_error_eV
        for row in summary.defects
        for entry in row.minima
        if entry.model_error_eV is not None
    )
    assert drawn == expected


def test_every_relaxation_is_drawn_and_named_with_its_own_energy(summary):
    strip = search_by_defect(summary)["v_Cd"]
    drawn = draw_search(summary, "v_Cd", strip)
    assert sum(len(line.get_xdata()) for line in drawn.axes.lines) == len(strip.points)
    titles = [text for texts in drawn.titles.values() for text in texts]
    assert sorted(titles) == sorted(
        f"{p.key}, {p.start}: {p.energy_above_lowest_eV:.3f} eV, {p.reason}" for p in strip.points
    )


def test_empty_study_has_no_figures(tmp_path, bare_summary):
    assert study_figures(bare_summary) == ()
    assert write_figures((), tmp_path / "figures") == ()
    assert (tmp_path / "figures").is_dir()


@pytest.mark.parametrize("name", ["$\\frac{1}$", "a<b>&c", "x_y^2", "v_Cd\x01"])
def test_any_name_can_be_drawn(summary, name):
    rows = [row.model_copy(update={"defect": name}) for row in summary.defects[:3]]
    drawn = draw_formation(summary.model_copy(update={"defects": rows}), "Te-rich")
    assert name in {line.get_label() for line in drawn.axes.lines}


def test_nothing_is_cut_off(figures):
    for figure in figures:
        drawn = figure.plot.figure
        width_in, height_in = drawn.get_size_inches()
        box = drawn.get_tightbbox()
        assert -0.01 < box.x0 < box.x1 < width_in + 0.01, figure.stem
        assert -0.01 < box.y0 < box.y1 < height_in + 0.01, figure.stem


def test_engine_points_are_rings_with_one_entry_in_the_legend(summary):
    def points(offset_eV):
        return [PathPoint(Q_amu05_A=q, engine_eV=offset_eV + q, model_eV=q) for q in (0.1, 0.4)]

    for checks in ({"initial_checks": points(0.0)}, {"final_checks": points(0.2)}):
        both = {"initial_checks": points(0.0), **checks}
        for update in (checks, both):
            drawn = draw_coordinates(summary.ccd[0].model_copy(update=update))
            labels = drawn.axes.get_legend_handles_labels()[1]
            assert labels.count("engine") == 1
            assert len(labels) == 3
    titles = [text for texts in drawn.titles.values() for text in texts if "engine" in text]
    level_eV = summary.ccd[0].level_eV
    assert f"q = −1 (final), engine, Q 0.40: {0.6 + level_eV:.3f} eV" in titles
    assert "q = 0 (initial), engine, Q 0.10: 0.100 eV" in titles


# Physics of what the figures show: slopes, kinks, relative positions, labels that stay apart.


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


# A figure as SVG: each value on the marker that it belongs to, and nothing that harms the page.


X = [0.5, 3.0, 1.0, 2.5]


@styled
def small(x=X, titles=None, name="drawn") -> Plot:
    """Four markers, not in the order of x, joined by a line."""
    drawn = plot(3.0, 2.5, name)
    (line,) = drawn.axes.plot(x, [2 * value for value in x], marker(0), ls="-", label=name)
    drawn.hover(line, [f"x = {value}" for value in x] if titles is None else titles)
    drawn.finish()
    return drawn


def titled(svg):
    """Elements that have a title, with its text."""
    return [
        (element, title.text) for element in ElementTree.fromstring(svg).iter() for title in element.findall("title")
    ]


def test_each_marker_has_its_own_value():
    found = titled(to_svg(small(), "one", ""))
    values = [float(text.removeprefix("x = ")) for _, text in found]
    places = [float(element.get("x")) for element, _ in found]
    assert [element.tag for element, _ in found] == ["use"] * len(X)
    assert values == X
    # the axis is linear, so the place of a marker must be linear in the value of its title
    slope, start = np.polyfit(values, places, 1)
    assert slope > 10
    assert places == pytest.approx([start + slope * value for value in values], abs=0.02)


def test_a_thin_line_is_named_by_a_wide_invisible_one():
    drawn = small()
    drawn.hover_line([0.5, 3.0], [1.0, 1.0], "a level")
    group = next(element for element, text in titled(to_svg(drawn, "one", "")) if text == "a level")
    style = group.find("path").get("style")
    assert "stroke-opacity: 0;" in style
    assert "stroke-width: 9" in style


def test_a_cloud_is_one_path_with_a_dot_for_each_point():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 500))
    drawn = small()
    drawn.cloud(x, y, 1, "forces", "500 forces")
    group = next(element for element, text in titled(to_svg(drawn, "one", "")) if text == "500 forces")
    (path,) = group.findall("g/path")
    dots = np.array([dot.split() for dot in re.findall(r"M(\S+ \S+)h0", path.get("d"))], dtype=float)
    assert len(dots) == 500
    assert np.corrcoef(dots[:, 0], x)[0, 1] == pytest.approx(1)
    assert np.corrcoef(dots[:, 1], y)[0, 1] == pytest.approx(-1)
    assert path.get("stroke-linecap") == "round"


def test_a_cloud_without_points_is_no_fault():
    drawn = small()
    drawn.cloud([], [], 1, "forces", "no forces")
    assert "h0" not in to_svg(drawn, "one", "")


def test_titles_that_do_not_fit_the_markers_are_refused():
    with pytest.raises(ValueError, match="3 markers were drawn for 4 titles"):
        to_svg(small([0.5, math.nan, 1.0, 2.5]), "one", "")
    with pytest.raises(ValueError, match="4 markers were drawn for 2 titles"):
        to_svg(small(titles=["a", "b"]), "one", "")
    drawn = small()
    drawn.axes.lines[0].set_visible(False)
    with pytest.raises(ValueError, match=r"nothing was drawn for 'x = 0.5'"):
        to_svg(drawn, "one", "")


def test_two_figures_share_no_id_and_refer_to_their_own():
    ids, references = [], []
    for name in ("one", "two"):
        svg = to_svg(small(), name, "")
        ids += re.findall(r'\bid="([^"]+)"', svg)
        references += re.findall(r'(?:href="|url\()#([^")]+)', svg)
        assert all(reference.startswith(f"{name}-") for reference in references if name in reference)
    assert len(ids) == len(set(ids)) > 4
    assert set(references) <= set(ids)


def test_text_stays_text_whatever_it_is():
    name = "<b>$\\frac{1}$</b> & √Å − ü \x01"
    svg = to_svg(small(titles=[name] * 4, name=name), "one", name)
    shown = [element.text for element in ElementTree.fromstring(svg.replace("\x01", "")).iter("text")]
    expected = name.replace("\x01", "")
    assert shown.count(expected) == 2  # title and legend
    assert {text for _, text in titled(svg)} == {expected}
    assert "<b>" not in svg


def test_nothing_reaches_into_the_page():
    svg = to_svg(small(), "one", "label")
    for part in ("<style", "<metadata", "<!DOCTYPE", "<?xml", "font-family", "xmlns", "http"):
        assert part not in svg
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == "label"
    assert "width" not in root.attrib  # the page's style scales it
    assert root.get("viewBox").startswith("0 0 216 ")


def test_the_same_figure_gives_the_same_text():
    assert to_svg(small(), "one", "") == to_svg(small(), "one", "")
