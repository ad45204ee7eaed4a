"""House style of the static figures: panels, markers, text made harmless.

The object interface is used throughout: no global state, no display, the same bytes on every run.
"""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MARKERS = ("o", "s", "D", "^", "v", "P", "*")
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.linewidth": 0.8,
    "pdf.fonttype": 42,
    "legend.frameon": False,
    "svg.hashsalt": "defectscape",
}


def plain(text: str) -> str:
    """Text from the study, safe from matplotlib's mathematics."""
    return text.replace("$", r"\$")


def canvas(columns: int, width_in: float, height_in: float) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side; at least one."""
    count = max(columns, 1)
    figure = Figure(figsize=(width_in * count, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, count, i + 1) for i in range(count)]


def empty(axes: Axes, text: str) -> None:
    """Say that there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
