"""Static figures: written in both formats, the same bytes each time, also for an empty study."""

from defectscape.report.figures_static import formation_energies, level_diagram, write_figures

NAMES = {"formation_energies", "levels", "parity", "search"}


def test_all_figures_in_both_formats_and_reproducible(tmp_path, summary):
    first = write_figures(summary, tmp_path / "a")
    second = write_figures(summary, tmp_path / "b")
    assert {path.name for path in first} == {f"{n}.{s}" for n in NAMES for s in ("png", "pdf")}
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert one.read_bytes()[:4] in (b"\x89PNG", b"%PDF")


def test_hull_drawn_in_the_figure_has_the_slope_of_the_charge(summary):
    axes = formation_energies(summary).axes[1]
    hull = next(line for line in axes.lines if line.get_label() == "v_Cd")
    x, y = hull.get_xdata(), hull.get_ydata()
    slopes = [(y[i + 1] - y[i]) / (x[i + 1] - x[i]) for i in range(len(x) - 1)]
    assert [round(slope) for slope in slopes] == [0, -1, -2]


def test_levels_are_drawn_at_their_energies(summary):
    axes = level_diagram(summary).axes[0]
    heights = {round(float(line.get_ydata()[0]), 6) for line in axes.lines}
    for row in summary.levels:
        assert (round(row.level_eV, 6) in heights) is row.in_gap


def test_empty_study_still_gives_figures(tmp_path, bare_summary):
    assert len(write_figures(bare_summary, tmp_path)) == 8
