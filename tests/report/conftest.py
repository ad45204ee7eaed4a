"""Fixtures of the report's tests, made from the hand-made test summary."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

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


BROWSER = shutil.which("chromium")

FRAME = """<script>onmessage = event => { document.body.dataset.said = event.data; };</script>
<body><iframe src="report.html" style="width: {width}px; height: 900px; border: 0"></iframe></body>"""
"""A window of any width: the browser's own has a least one, wider than a telephone."""


@pytest.fixture
def in_browser(tmp_path: Path) -> Callable[[Path, int, str], Any]:
    """What a probe says inside a page that a browser shows at a width; no script of the page may complain."""
    if BROWSER is None:
        pytest.skip("chromium is not installed")

    def look(page: Path, width: int, probe: str) -> Any:
        html = page.read_text(encoding="utf-8")
        page.write_text(html.replace("</body>", f"{probe}</body>"), encoding="utf-8")
        frame = page.with_name("frame.html")
        frame.write_text(FRAME.replace("{width}", str(width)).replace("report.html", page.name))
        done = subprocess.run(
            [
                str(BROWSER),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--enable-logging=stderr",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--virtual-time-budget=15000",
                "--window-size=1300,1000",
                "--dump-dom",
                frame.as_uri(),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )
        assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return json.loads(unescape(re.findall(r'data-said="([^"]+)"', done.stdout)[-1]))

    return look
