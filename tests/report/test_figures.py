"""Figures: what is drawn is what was found; files in both formats, the same bytes each time."""

import pytest

from defectscape.report.figures.concentrations import draw_concentrations
from defectscape.report.figures.coordinates import draw_coordinates
from defectscape.report.figures.formation import draw_formation
from defectscape.report.figures.levels import draw_levels
from defectscape.report.figures.search import draw_search, search_by_defect
from defectscape.report.figures.study import StudyFigure, study_figures, write_figures
from defectscape.report.figures.verification import draw_verification
from defectscape.summary.schema import PathPoint

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
