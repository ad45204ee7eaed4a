"""Static figures: written in both formats, the same bytes each time, also for an empty study."""

from defectscape.report import figures_static_trust
from defectscape.report.figures_static import (
    concentrations,
    formation_energies,
    level_diagram,
    write_figures,
)

ALWAYS = {"formation_energies", "levels", "parity", "search"}
NAMES = ALWAYS | {
    "concentrations", "configuration_coordinates", "training", "verification", "calibration",
    "label_times", "rule_times",
}  # fmt: skip


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


def test_concentrations_are_totals_over_charges(summary):
    axes = concentrations(summary).axes[0]
    limit = axes.get_title()
    rows = sorted(
        (row for row in summary.equilibria if row.limit == limit), key=lambda row: row.annealing_K
    )
    (line,) = [line for line in axes.lines if line.get_label() == "v_Cd"]
    expected = [
        sum(state.operating_cm3 for state in row.states if state.defect == "v_Cd") for row in rows
    ]
    assert list(line.get_ydata()) == expected
    assert list(line.get_xdata()) == [600.0, 800.0, 1000.0]


def test_verification_errors_are_drawn_in_meV(summary):
    axes = figures_static_trust.verification(summary).axes[0]
    drawn = sorted(float(y) for line in axes.lines[:2] for y in line.get_ydata())
    expected = sorted(
        1e3 * entry.model_error_eV
        for row in summary.defects
        for entry in row.minima
        if entry.model_error_eV is not None
    )
    assert drawn == expected


def test_empty_study_still_gives_figures(tmp_path, bare_summary):
    assert {path.stem for path in write_figures(bare_summary, tmp_path)} == ALWAYS
