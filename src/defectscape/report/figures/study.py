"""All figures of a study, drawn once: the page takes them as SVG, the files are PDF and PNG."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from defectscape.report.figures.concentrations import concentration_limits, draw_concentrations
from defectscape.report.figures.coordinates import draw_coordinates
from defectscape.report.figures.errors import (
    ENERGIES,
    FORCES,
    coverage_bars,
    draw_calibration,
    draw_parity,
    draw_verification,
    parity_by_fidelity,
    verification_errors,
)
from defectscape.report.figures.formation import draw_formation
from defectscape.report.figures.levels import draw_levels
from defectscape.report.figures.search import draw_search, search_by_defect
from defectscape.report.figures.style import Plot, styled
from defectscape.report.figures.times import draw_label_times, draw_rule_times
from defectscape.report.figures.training import draw_training, final_curves
from defectscape.report.names import limit_names, pair_text
from defectscape.summary.schema import Summary

PNG_DPI = 160


@dataclass(frozen=True)
class StudyFigure:
    """A figure with its place.

    Attributes:
        section: which part of the page it belongs to; also the first word of its file's name.
        name: which of the section's figures it is; empty where there is one.
        caption: what it shows, for readers who cannot see it.
        plot: the drawing.
    """

    section: str
    name: str
    caption: str
    plot: Plot

    @property
    def stem(self) -> str:
        """Name of its files without a suffix: letters, digits and ``. + -`` of its names."""
        return re.sub(r"[^\w.+-]+", "_", f"{self.section}_{self.name}").strip("_.")


def study_figures(summary: Summary) -> tuple[StudyFigure, ...]:
    """Every figure that the summary has something for, in the order of the page."""
    return tuple(_figures(summary))


def _figures(summary: Summary) -> Iterator[StudyFigure]:
    for limit in limit_names(summary):
        yield StudyFigure(
            "formation_energies",
            limit,
            f"Formation energies, {limit}",
            draw_formation(summary, limit),
        )
    if summary.levels:
        yield StudyFigure("levels", "", "Charge-transition levels", draw_levels(summary))
    for limit in concentration_limits(summary):
        drawn = draw_concentrations(summary, limit)
        yield StudyFigure("concentrations", limit, f"Concentrations, {limit}", drawn)
    for ccd in summary.ccd:
        caption = f"Configuration coordinates, {pair_text(ccd)}"
        name = f"{ccd.defect}_{_signed(ccd.initial_charge)}_{_signed(ccd.final_charge)}"
        yield StudyFigure("configuration_coordinates", name, caption, draw_coordinates(ccd))
    for defect, strip in search_by_defect(summary).items():
        drawn = draw_search(summary, defect, strip)
        yield StudyFigure("search", defect, f"{defect}: where each start led", drawn)
    if verification_errors(summary):
        caption = "Model minus engine at the minima found"
        yield StudyFigure("verification", "", caption, draw_verification(summary))
    for head, entries in parity_by_fidelity(summary).items():
        for quantity in (ENERGIES, FORCES):
            caption = f"Model against engine, {head}: {quantity.name}"
            drawn = draw_parity(head, entries, quantity)
            yield StudyFigure("parity", f"{head}_{quantity.name}", caption, drawn)
    if coverage_bars(summary):
        caption = "Coverage of the committee's bars before and after calibration"
        yield StudyFigure("calibration", "", caption, draw_calibration(summary))
    if curves := final_curves(summary):
        for what in ("energy", "force"):
            caption = f"Validation errors of the final committee: {what}"
            yield StudyFigure("training", what, caption, draw_training(curves, what))
    if summary.cost:
        yield StudyFigure("label_times", "", "Core time of labels", draw_label_times(summary))
    if summary.jobs:
        yield StudyFigure("rule_times", "", "Wall time of rules", draw_rule_times(summary))


def _signed(charge: int) -> str:
    return f"{charge:+d}" if charge else "0"


@styled
def write_figures(figures: Iterable[StudyFigure], folder: Path) -> tuple[Path, ...]:
    """Write each figure as PNG and PDF, the same bytes on every run; returns the files.

    Names that differ only in characters that a file's name cannot have are told apart by a number.
    """
    paths: dict[str, Path] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures:
        stem, number = figure.stem, 2
        while f"{stem}.png" in paths:
            stem, number = f"{figure.stem}_{number}", number + 1
        for suffix, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
            path = folder / f"{stem}.{suffix}"
            figure.plot.figure.savefig(path, dpi=PNG_DPI, metadata=metadata)
            paths[path.name] = path
    return tuple(paths.values())
