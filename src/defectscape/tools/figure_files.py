"""How the figure of a comparison is written: as PNG to look at, as PDF to print."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure


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
