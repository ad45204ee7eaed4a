"""What the page says of the calibration."""

from defectscape.report.figures.calibration import coverage_bars, draw_calibration
from defectscape.report.page import render_report
from defectscape.report.tables.model import calibration, level_tests


def test_an_uncalibrated_quantity_has_no_factor_but_a_reason(summary) -> None:
    rows = calibration(summary).rows
    assert [row[4] for row in rows] == [2.1, 1.7, None]
    assert rows[2][-1] == "4 validation frames, 6 are needed"
    assert [row[9] for row in rows] == [70.0, 70.0, None]


def test_levels_are_counted_in_bars(summary) -> None:
    rows = level_tests(summary).rows
    assert rows[0][3] == -21.0
    assert abs(rows[0][5] - 0.021 / 0.034) < 1e-9
    assert rows[1][4:] == (None, None)


def test_the_figure_shows_coverage_of_the_high_fidelity_alone(summary) -> None:
    heights = [bar.get_height() for bar in draw_calibration(summary).axes.patches]
    assert heights == [36.0, 61.0, 36.0, 61.0, 70.0, 93.0, 70.0, 93.0]
    bare = summary.model_copy(update={"calibration": []})
    assert coverage_bars(bare) == ()


def test_the_page_says_how_it_was_calibrated_or_nothing(summary) -> None:
    assert "Calibration of the committee" in render_report(summary, [], {})
    bare = summary.model_copy(update={"calibration": [], "level_tests": []})
    page = render_report(bare, [], {})
    assert "Calibration of the committee" not in page
    assert "what the model alone would have said" not in page
