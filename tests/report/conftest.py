"""Fixtures of the report's tests, made from the hand-made test summary."""

import importlib.util
from pathlib import Path

import pytest

from defectscape.report.page import render_report
from defectscape.summary.schema import Summary

_SPEC = importlib.util.spec_from_file_location(
    "summary_builder", Path(__file__).with_name("summary_builder.py")
)
assert _SPEC
assert _SPEC.loader
builder = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(builder)


@pytest.fixture(scope="session")
def summary() -> Summary:
    return builder.make_summary()


@pytest.fixture(scope="session")
def geometries() -> dict[str, str]:
    return builder.make_geometries()


@pytest.fixture(scope="session")
def page(summary: Summary, geometries: dict[str, str]) -> str:
    return render_report(summary, geometries)


@pytest.fixture(scope="session")
def bare_summary(summary: Summary) -> Summary:
    """A summary in which every list is empty."""
    lists = {
        name: []
        for name in (
            "defects",
            "equilibria",
            "levels",
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
