"""The figure of the foundation comparison: how far each lowest minimum is from the ground state."""

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from defectscape.report.figures.style import PALETTE
from defectscape.tools.figure_files import save_figure
from defectscape.tools.foundation import FoundationComparison
from defectscape.tools.recovery import IDENTIFIED_A

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
