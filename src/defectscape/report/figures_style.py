"""House style of the interactive figures: colours, markers, axes, and text made harmless.

Text that comes from the study is escaped here, because plotly reads markup in labels.
"""

from html import escape
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from defectscape.report.figures_data import PALETTE

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
GRID, EDGE, BAND = "#e6e6e6", "#444444", "#f0f0f0"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "star")


def colour(index: int) -> str:
    """Colour of the n-th defect or charge."""
    return PALETTE[index % len(PALETTE)]


def symbol(index: int) -> str:
    """Marker of the n-th defect or charge; a second cue beside the colour."""
    return SYMBOLS[index % len(SYMBOLS)]


def faded(index: int, alpha: float) -> str:
    """The n-th colour as rgba."""
    text = colour(index)
    red, green, blue = (int(text[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def base_figure(x: str, y: str, height: int) -> go.Figure:
    """An empty figure in the house style: white, thin frame, legend above, no drag on touch."""
    axis: dict[str, Any] = {
        "showline": True,
        "linecolor": EDGE,
        "mirror": True,
        "gridcolor": GRID,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "automargin": True,
        "title": {"standoff": 8, "font": {"size": 13}},
    }
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 56, "r": 14, "t": 40, "b": 48 if x else 28},
        font={"family": FONT, "size": 13, "color": "#1a1a1a"},
        hovermode="closest",
        dragmode=False,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        paper_bgcolor="white",
        plot_bgcolor="white",
    )
    figure.update_xaxes(**axis, title_text=x)
    figure.update_yaxes(**axis, title_text=y)
    return figure


def literal(text: str) -> str:
    """Text that plotly shows as it is: its markup is escaped; quotes are not, they would show."""
    return escape(text, quote=False)


def wrapped(text: str) -> str:
    """A long name on at most two lines, escaped; the hover text keeps it whole."""
    lines = wrap(text, 24, max_lines=2, placeholder=" …") or [""]
    return "<br>".join(literal(line) for line in lines)
