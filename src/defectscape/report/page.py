"""The page: one HTML file that answers first, opens offline, and shows what the numbers rest on.

It is made from a ``Summary``, its figures and the texts of geometry files, from nothing else. Every text
is escaped; figures, styles and scripts are inside the file, so nothing is loaded from anywhere.
"""

import base64
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from defectscape.files.text import write_text
from defectscape.report import facts
from defectscape.report.figures.study import StudyFigure
from defectscape.report.figures.svg import to_svg
from defectscape.report.glossary import TERMS, anchor
from defectscape.report.names import defect_names, level_text
from defectscape.report.structures import structure_views, undrawn
from defectscape.report.tables.structures import GAIN_LIMIT_MEV, minima_of
from defectscape.report.tables.study import all_tables
from defectscape.report.tables.table import number
from defectscape.summary.schema import Summary

logger = logging.getLogger(__name__)


def render_report(summary: Summary, figures: Iterable[StudyFigure], geometries: Mapping[str, str]) -> str:
    """The page as HTML.

    Args:
        summary: every number of the page.
        figures: its figures, as ``study_figures`` draws them from the same summary.
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
    environment.globals.update(anchor=anchor, terms=TERMS)
    views = structure_views(summary, geometries)
    return environment.get_template("page.html").render(
        summary=summary,
        tables=all_tables(summary),
        minima={name: minima_of(summary, name) for name in defect_names(summary)},
        plots=_plots(figures),
        partial=facts.partial_line(summary),
        left_out=facts.left_out(summary),
        missing_levels=facts.missing_levels(summary),
        missing_carriers=facts.missing_carriers(summary),
        missing_diagrams=facts.missing_diagrams(summary),
        facts=facts.key_facts(summary),
        theory_note=facts.theory_note(summary),
        level_names=(facts.level_name(summary.low), facts.level_name(summary.high)),
        not_verified=facts.not_verified(summary),
        starts_tried=facts.starts_tried(summary),
        uncertainties=facts.uncertainties(summary),
        gain_limit_meV=GAIN_LIMIT_MEV,
        off_gap=[(row, level_text(row)) for row in summary.levels if not row.in_gap],
        structures=views,
        undrawn=undrawn(summary, views),
        downloads={name: data_uri(text) for name, text in geometries.items()},
    )


def write_report(summary: Summary, figures: Iterable[StudyFigure], path: Path, geometries: Mapping[str, str]) -> Path:
    """Write the page to ``path`` in one step; returns the path."""
    write_text(path, render_report(summary, figures, geometries))
    return path


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


def _plots(figures: Iterable[StudyFigure]) -> dict[str, list[Markup]]:
    """The figures as SVG by section; what comes from the study is escaped inside."""
    plots: dict[str, list[Markup]] = {}
    for figure in figures:
        group = plots.setdefault(figure.section, [])
        name = f"plot-{figure.section}-{len(group)}"
        group.append(Markup(to_svg(figure.plot, name, figure.caption)))
    return plots
