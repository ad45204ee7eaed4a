"""The page in a real browser: scripts run, structures are drawn, nothing is complained of."""

import io
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from defectscape.report.page import write_report
from defectscape.report.structures import structure_views

BROWSER = shutil.which("chromium")


def poscar(move_A: float = 0.0) -> str:
    """CdTe without the cadmium at the origin, one neighbour moved."""
    atoms = bulk("CdTe", "zincblende", a=6.5, cubic=True).repeat(2)
    del atoms[0]
    nearest = int(np.argmin(np.linalg.norm(atoms.positions, axis=1)))
    atoms.positions[nearest] *= 1 - move_A / np.linalg.norm(atoms.positions[nearest])
    text = io.StringIO()
    ase.io.write(text, atoms, format="vasp", direct=True, sort=True)
    return text.getvalue()


@pytest.fixture
def drawn(summary):
    """The summary with sites, and geometries of all ground states."""
    rows = [row.model_copy(update={"site_frac": [0.0, 0.0, 0.0]}) for row in summary.defects]
    return summary.model_copy(update={"defects": rows}), {
        row.geometry_file: poscar(0.1 * number) for number, row in enumerate(rows)
    }


def test_atoms_around_the_site_are_drawn_with_their_bonds(drawn) -> None:
    summary, geometries = drawn
    views = structure_views(summary, geometries)
    assert len(views) == len(summary.defects)
    data = json.loads(views[0].data)
    distances = np.linalg.norm(np.array([atom[1:] for atom in data["atoms"]]), axis=1)
    assert 0 < distances.min() < distances.max() < 6.0
    # 4 neighbours at 2.8 A, 12 at 4.6 A, 12 at 5.4 A, and the site is empty.
    assert views[0].atoms == len(data["atoms"]) == 28
    names = [element["name"] for element in data["elements"]]
    assert sorted(names) == ["Cd", "Te"]
    for i, j in data["bonds"]:
        kinds = {names[data["atoms"][k][0]] for k in (i, j)}
        assert kinds == {"Cd", "Te"}


def test_a_geometry_that_cannot_be_read_is_left_out(drawn) -> None:
    summary, geometries = drawn
    first = summary.defects[0].geometry_file
    views = structure_views(summary, {**geometries, first: "nothing\n"})
    assert len(views) == len(summary.defects) - 1


PROBE = """<script>
const said = {hit: 0, missed: [], wide: document.documentElement.scrollWidth - innerWidth};
for (const title of document.querySelectorAll("#plot-levels-0 title, #plot-verification-0 title")) {
  title.parentNode.scrollIntoView({block: "center", inline: "center"});
  const box = title.parentNode.getBoundingClientRect();
  const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  if (at && title.parentNode.contains(at)) { said.hit++; } else { said.missed.push(title.textContent); }
}
const text = document.querySelector("svg.plot text");
said.pixels = parseFloat(getComputedStyle(text).fontSize) * text.getCTM().a;
said.drawn = Array.from(document.querySelectorAll("canvas.structure"), c => Number(c.dataset.drawn));
parent.postMessage(JSON.stringify(said), "*");
</script>"""
"""Looks for the value under the pointer, what sticks out of the window, the size of text, drawn structures."""

FRAME = """<script>onmessage = event => { document.body.dataset.said = event.data; };</script>
<body><iframe src="report.html" style="width: {width}px; height: 900px; border: 0"></iframe></body>"""
"""A window of any width: the browser's own has a least one, wider than a telephone."""


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
@pytest.mark.parametrize(("width", "pixels"), [(1200, 10.8), (380, 9.9)])
def test_a_browser_draws_it_without_complaint(drawn, figures, tmp_path: Path, width: int, pixels: float) -> None:
    summary, geometries = drawn
    page = write_report(summary, figures, tmp_path / "report.html", geometries)
    html = page.read_text(encoding="utf-8")
    page.write_text(html.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.replace("{width}", str(width)))
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
    said = json.loads(unescape(re.findall(r'data-said="([^"]+)"', done.stdout)[-1]))
    assert said["drawn"] == [view.atoms for view in structure_views(summary, geometries)]
    in_gap = sum(row.in_gap for row in summary.levels)
    verified = sum(m.model_error_eV is not None for row in summary.defects for m in row.minima)
    assert said["hit"] == in_gap + verified, said["missed"]
    assert said["wide"] <= 0
    assert said["pixels"] == pytest.approx(pixels, abs=0.3)
