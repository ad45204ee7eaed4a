"""Figures of comparisons, as PNG to look at and as PDF to print.

Of foundation potentials: how far each lowest minimum is from the ground state. Of direct relaxations: energies of
both searches above the lowest, per key.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectscape.report.figures.style import PALETTE
from defectscape.tools.direct_relaxations import DirectSearch
from defectscape.tools.foundation import FoundationComparison
from defectscape.tools.recovery import IDENTIFIED_A
from defectscape.tools.search_truth import KeyTruth


def share_legend(figure: Figure, axis: Axes, columns: int) -> None:
    """One legend below all panels, of what the given one has."""
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def save_figure(figure: Figure, folder: Path, name: str) -> Path:
    """Write and close a figure as ``name.png`` and ``name.pdf``; returns the PNG file."""
    folder.mkdir(parents=True, exist_ok=True)
    for ending in ("png", "pdf"):
        figure.savefig(folder / f"{name}.{ending}", dpi=130)
    plt.close(figure)
    return folder / f"{name}.png"


LEAST_A = 1e-3
"""What is drawn for a structure that is the reference itself."""


def draw_foundation(result: FoundationComparison, path: Path) -> None:
    """Bars per key, foundation beside ours, as PNG and PDF; a missing bar is a missing minimum."""
    keys = [row.key for row in result.foundation]
    figure, axis = plt.subplots(figsize=(1.4 + 0.9 * len(keys), 3.6), constrained_layout=True)
    places = np.arange(len(keys))
    for index, (name, rows) in enumerate(((result.name, result.foundation), ("committee, not verified", result.ours))):
        heights = [np.nan if r.rmsd_A is None else max(r.rmsd_A, LEAST_A) for r in rows]
        axis.bar(places + 0.4 * index - 0.2, heights, 0.38, label=name, color=PALETTE[index])
    axis.axhline(IDENTIFIED_A, color="#444444", linewidth=0.9, linestyle="--")
    axis.set_yscale("log")
    axis.set_ylim(LEAST_A / 2, 2.0)
    axis.set_xticks(places, keys, rotation=30, ha="right", fontsize=8)
    axis.set_ylabel("RMSD of the lowest minimum\nto the ground state (Å)")
    axis.legend(frameon=False, fontsize=8)
    save_figure(figure, path.parent, path.stem)


Heights = tuple[float | None, ...]
"""Of one key: the unperturbed relaxation, the direct search, as reported, relaxed further; eV."""


def draw_truth(rows: Sequence[KeyTruth], search: DirectSearch, engine: str, judge: str, path: Path) -> None:
    """Bars as PNG and PDF; where the low level relaxed, a second panel with the high level's energies.

    Args:
        rows: one per key.
        search: what was relaxed.
        engine, judge: method of the engine that relaxed, and of the high level.
        path: the comparison's file; the figures lie beside it.
    """
    relaxed: list[Heights] = [(row.unperturbed_eV, row.direct_eV, row.reported_eV, row.relaxed_eV) for row in rows]
    panels = [(engine, relaxed)]
    if search.level == "low":
        panels.append((judge, [_at_high(row) for row in rows]))
    width_in = 2.4 + 0.9 * len(rows) * len(panels)
    figure, axes = plt.subplots(
        1, len(panels), figsize=(width_in, 4.4), constrained_layout=True, squeeze=False, sharey=True
    )
    which = "all" if search.starts is None else "some"
    names = ["unperturbed relaxation alone", f"direct relaxation of {which} starts"]
    names += ["this study, as reported"]
    if not search.whole:
        names.append(f"this study, relaxed further by {engine}")
    for axis, (method, heights) in zip(axes[0], panels, strict=True):
        _bars(axis, [row.key for row in rows], names, heights)
        axis.set_ylabel(f"{method}: above the lowest (meV)")
    # Only now, as the axes share their scale.
    axes[0][0].set_ylim(bottom=0)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, loc="outside upper left")
    save_figure(figure, path.parent, path.stem)


def _at_high(row: KeyTruth) -> Heights:
    """Energies above the lowest of those that the high level knows; the reported one is always known."""
    known = (row.unperturbed_at_high_eV, row.direct_at_high_eV, 0.0, row.relaxed_at_high_eV)
    lowest = min(value for value in known if value is not None)
    return tuple(None if value is None else value - lowest for value in known)


def _bars(axis: Axes, keys: Sequence[str], names: Sequence[str], heights: Sequence[Heights]) -> None:
    places, width = np.arange(len(keys)), 0.82 / len(names)
    for index, name in enumerate(names):
        values = [row[index] for row in heights]
        known = [np.nan if v is None or not np.isfinite(v) else 1e3 * v for v in values]
        shift = width * (index - (len(names) - 1) / 2)
        axis.bar(places + shift, known, 0.92 * width, label=name, color=PALETTE[index])
    axis.set_yscale("symlog", linthresh=10)
    axis.axhline(10, color="#444444", linewidth=0.8, linestyle="--")
    axis.set_xticks(places, keys, rotation=30, ha="right", fontsize=8)
