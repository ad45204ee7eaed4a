"""Interactive figure of concentrations: what is frozen in, against the temperature of annealing."""

import plotly.graph_objects as go

from defectscape.report.concentrations_data import concentration_curves
from defectscape.report.figures_style import base_figure, colour, literal, symbol
from defectscape.summary.schema import Summary

CARRIER_DASHES = {"electrons": "dash", "holes": "dot"}


def concentration_figure(summary: Summary, limit: str) -> go.Figure:
    """Total of every defect, electrons and holes after quenching, in one limit."""
    figure = base_figure("Annealed at (K)", "After quenching (cm<sup>-3</sup>)", 380)
    for curve in concentration_curves(summary, limit):
        label = literal(curve.name)
        if curve.index is None:
            line = {"color": "#555555", "width": 1.5, "dash": CARRIER_DASHES[curve.name]}
            look = {"mode": "lines", "line": line}
        else:
            look = {
                "mode": "lines+markers",
                "line": {"color": colour(curve.index), "width": 2},
                "marker": {"symbol": symbol(curve.index), "size": 8},
            }
        figure.add_scatter(
            x=curve.annealing_K, y=curve.values_cm3, name=label, **look,
            hovertemplate=f"{label}<br>%{{x:.0f}} K<br>%{{y:.2e}} cm<sup>-3</sup><extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(type="log", exponentformat="power", dtick=2)
    return figure
