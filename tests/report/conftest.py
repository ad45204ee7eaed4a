"""Fixtures of the report's tests, made from the hand-made test summary."""

import pytest

from defectscape.report.figures.study import StudyFigure, study_figures
from defectscape.report.page import render_report
from defectscape.summary.schema import Summary
from support.summary_builder import make_geometries, make_summary


@pytest.fixture(scope="session")
def summary() -> Summary:
    return make_summary()


@pytest.fixture(scope="session")
def geometries() -> dict[str, str]:
    return make_geometries()


@pytest.fixture(scope="session")
def figures(summary: Summary) -> tuple[StudyFigure, ...]:
    return study_figures(summary)


@pytest.fixture(scope="session")
def page(summary: Summary, figures: tuple[StudyFigure, ...], geometries: dict[str, str]) -> str:
    return render_report(summary, figures, geometries)


@pytest.fixture(scope="session")
def bare_summary(summary: Summary) -> Summary:
    """A summary in which every list is empty."""
    lists = {
        name: []
        for name in (
            "defects",
            "equilibria",
            "levels",
            "binding",
            "spins",
            "errors",
            "parity",
            "level_gaps",
            "calibration",
            "level_tests",
            "search",
            "ccd",
            "capture",
            "cost",
            "jobs",
            "training",
            "gates",
            "warnings",
            "model_files",
        )
    }
    return summary.model_copy(update={**lists, "chemical_potentials_eV": {}})
