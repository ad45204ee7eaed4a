"""The page: one HTML file that answers first, opens offline, and shows what the numbers rest on.

It is made from a ``Summary`` and the texts of geometry files, from nothing else. Every text is
escaped; scripts, styles and plotly are inside the file, so nothing is loaded from anywhere.
"""

import base64
import logging
from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from defectscape.report import facts, figures, figures_trust
from defectscape.report.calibration import coverage_figure
from defectscape.report.concentrations_data import concentration_limits
from defectscape.report.figures_concentrations import concentration_figure
from defectscape.report.figures_data import (
    ccd_text,
    defect_names,
    level_text,
    limits,
    search_by_defect,
)
from defectscape.report.figures_trust_data import (
    final_curves,
    parity_by_fidelity,
    verification_errors,
)
from defectscape.report.structures import structure_views
from defectscape.report.table import number
from defectscape.report.tables import all_tables
from defectscape.report.tables_results import GAIN_LIMIT_MEV, minima_of
from defectscape.summary.schema import Summary

logger = logging.getLogger(__name__)

PLOT_CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    "toImageButtonOptions": {"format": "svg"},
}


PARITY_TEXTS = {"energy": "energies, mean of each key removed", "force": "force components"}


def render_report(summary: Summary, geometries: Mapping[str, str]) -> str:
    """The page as HTML.

    Args:
        summary: every number of the page.
        geometries: text of geometry files (POSCAR or XYZ) by the ``geometry_file`` of the summary;
            files that are not in it are named but cannot be downloaded from the page.
    """
    environment = Environment(
        loader=PackageLoader("defectscape.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template("page.html").render(
        summary=summary,
        tables=all_tables(summary),
        minima={name: minima_of(summary, name) for name in defect_names(summary)},
        level_columns=len({row.defect for row in summary.levels}),
        plots=_plots(summary),
        facts=facts.key_facts(summary),
        theory_note=facts.theory_note(summary),
        level_names=(facts.level_name(summary.low), facts.level_name(summary.high)),
        not_verified=facts.not_verified(summary),
        uncertainties=facts.uncertainties(summary),
        gain_limit_meV=GAIN_LIMIT_MEV,
        off_gap=[(row, level_text(row)) for row in summary.levels if not row.in_gap],
        structures=structure_views(summary, geometries),
        downloads={name: data_uri(text) for name, text in geometries.items()},
        plotly_js=Markup(get_plotlyjs()),
    )


def write_report(summary: Summary, path: Path, geometries: Mapping[str, str] | None = None) -> Path:
    """Write the page to ``path`` in one step; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(render_report(summary, geometries or {}), encoding="utf-8")
    return part.replace(path)


def read_geometries(summary: Summary, folder: Path) -> dict[str, str]:
    """Texts of the geometry files that the summary names, relative to ``folder``.

    A missing file is left out with a warning: the page then names it without offering it.
    """
    names: dict[str, None] = {}
    for row in summary.defects:
        names[row.geometry_file] = None
        names.update(dict.fromkeys(entry.geometry_file for entry in row.minima))
    texts: dict[str, str] = {}
    for name in names:
        path = folder / name
        if path.is_file():
            texts[name] = path.read_text(encoding="utf-8")
        else:
            logger.warning("geometry file %s is missing; the page only names it", path)
    return texts


def data_uri(text: str) -> str:
    """A text file as a link that needs no second file."""
    return "data:text/plain;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()


def _plots(summary: Summary) -> dict[str, dict[str, Markup]]:
    """All figures by section and caption, in the order of the page."""
    coverage = coverage_figure(summary)
    found: dict[str, dict[str, go.Figure]] = {
        "formation": {name: figures.formation_figure(summary, name) for name in limits(summary)},
        "levels": {"": figures.level_figure(summary)} if summary.levels else {},
        "concentrations": {
            name: concentration_figure(summary, name) for name in concentration_limits(summary)
        },
        "search": {
            name: figures.search_figure(summary, strip)
            for name, strip in search_by_defect(summary).items()
        },
        "ccd": {ccd_text(row): figures.ccd_figure(row) for row in summary.ccd},
        "parity": {
            f"{name}: {text}": figures_trust.parity_figure(entries, what)
            for name, entries in parity_by_fidelity(summary).items()
            for what, text in PARITY_TEXTS.items()
        },
        "calibration": {"": coverage} if coverage is not None else {},
        "training": _training(summary),
        "verification": (
            {"": figures_trust.verification_figure(summary)} if verification_errors(summary) else {}
        ),
        "jobs": {"": figures_trust.time_figure(summary)} if summary.jobs else {},
        "cost": {"": figures_trust.label_time_figure(summary)} if summary.cost else {},
    }
    return {
        section: {
            caption: _markup(figure, f"{section}-{index}")
            for index, (caption, figure) in enumerate(group.items())
        }
        for section, group in found.items()
    }


def _training(summary: Summary) -> dict[str, go.Figure]:
    """Training curves of the final committee: energies and forces."""
    curves = final_curves(summary)
    if not curves:
        return {}
    return {what: figures_trust.training_figure(curves, what) for what in ("energy", "force")}


def _markup(figure: go.Figure, identifier: str) -> Markup:
    """A figure as an HTML fragment; plotly escapes its JSON, the figure its labels."""
    height = f"{figure.layout.height}px"
    return Markup(
        to_html(
            figure,
            config=PLOT_CONFIG,
            include_plotlyjs=False,
            full_html=False,
            div_id=f"plot-{identifier}",
            default_height=height,
        )
    )
