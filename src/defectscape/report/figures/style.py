"""House style of the figures: colours, markers, and a panel whose values appear on hover.

The object interface is used throughout: no global state, no display, the same bytes on every run.
Texts are drawn as they are, never as mathematics, so a name from the study cannot fail to parse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colour-blind-safe colours (Okabe and Ito 2008), without the yellow that white paper swallows."""

MARKERS = ("o", "s", "D", "^", "v", "P", "*")
DASHES = ("-", "--", ":", "-.")
EDGE, GRID, BAND, LEADER = "#444444", "#e6e6e6", "#eeeeee", "#999999"

WIDTH_IN = 3.8
"""Width of a figure, inches: on a telephone its text of 9 points is drawn at 11 pixels."""

LEGEND_ROW_IN = 0.18
CHARACTERS_PER_INCH = 13.0
"""Characters of the legend's text that fit into an inch."""

LAYOUT_PASSES = 3
"""matplotlib places the axes by the labels of the pass before; tick labels and square axes need more than one."""

HOVER_POINTS = 9.0
"""Width of the invisible line that makes a thin line easy to point at, points."""

CLOUD, CLOUD_POINTS, CLOUD_OPACITY = "cloud", 3.0, 0.6
"""What the gid of a cloud of dots begins with; the dots' diameter, points, and opacity."""

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same layout everywhere
    "font.size": 9.0,
    "text.parse_math": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": EDGE,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "axes.axisbelow": True,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "defectscape",
}

styled = mpl.rc_context(STYLE)
"""Decorator of everything that draws or saves: the house style, and the user's own left alone."""


def colour(index: int) -> str:
    """Colour of the n-th defect, charge or head."""
    return PALETTE[index % len(PALETTE)]


def marker(index: int) -> str:
    """Marker of the n-th: a second cue beside the colour, out of step with it after one round."""
    return MARKERS[(index + index // len(PALETTE)) % len(MARKERS)]


def ink(index: int) -> str:
    """The n-th colour for text: darker, to be read on white paper."""
    red, green, blue = (int(colour(index)[i : i + 2], 16) * 0.72 for i in (1, 3, 5))
    return f"#{round(red):02x}{round(green):02x}{round(blue):02x}"


@dataclass(frozen=True)
class Plot:
    """One panel, and the values that appear where the reader points.

    Attributes:
        figure: the matplotlib figure.
        axes: its only axes.
        titles: by the gid of an artist, one text for all of it or one for each of its markers.
    """

    figure: Figure
    axes: Axes
    titles: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def hover(self, artist: Artist, titles: Sequence[str]) -> None:
        """Name an artist, or each of its markers in the order of its points.

        Points must be finite and inside the figure: matplotlib leaves out the others.
        """
        if titles:
            gid = f"hover{len(self.titles)}"
            artist.set_gid(gid)
            self.titles[gid] = tuple(titles)

    def hover_line(self, x: Sequence[float], y: Sequence[float], title: str) -> None:
        """Name a line that is drawn already: an invisible one over it is wide enough to point at."""
        (line,) = self.axes.plot(x, y, color=EDGE, alpha=0.0, lw=HOVER_POINTS, solid_capstyle="butt", label="_hover")
        self.hover(line, [title])

    def cloud(self, x: Sequence[float], y: Sequence[float], index: int, label: str, title: str) -> None:
        """Points too many to be told apart: round dots with one title, in the page a single path."""
        (dots,) = self.axes.plot(
            x, y, "o", ms=CLOUD_POINTS, mew=0, alpha=CLOUD_OPACITY, color=colour(index), label=label
        )
        gid = f"{CLOUD}{len(self.titles)}"
        dots.set_gid(gid)
        self.titles[gid] = (title,)

    def finish(self) -> None:
        """Put a legend below the axes where there is something to say, and settle the layout.

        The figure grows by the rows of its legend. The layout is found once: page and files show the same.
        """
        handles, labels = self.axes.get_legend_handles_labels()
        if labels:
            width_in, height_in = self.figure.get_size_inches()
            fitting = int(CHARACTERS_PER_INCH * width_in / (max(map(len, labels)) + 6))
            columns = min(max(fitting, 1), len(labels))
            self.figure.set_figheight(height_in + LEGEND_ROW_IN * -(-len(labels) // columns))
            self.figure.legend(
                handles,
                labels,
                loc="outside lower center",
                ncols=columns,
                borderaxespad=0.2,
                columnspacing=1.2,
                handlelength=1.8,
            )
        for _ in range(LAYOUT_PASSES):
            self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")


def plot(width_in: float, height_in: float, title: str = "") -> Plot:
    """An empty panel."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if title:
        axes.set_title(title)
    return Plot(figure, axes)
