"""Interactive figures of trust and cost, as plotly objects: parity, training, errors, time."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from defectscape.report.figures_style import base_figure, colour, literal, symbol
from defectscape.report.figures_trust_data import label_times, training_errors, verification_errors
from defectscape.summary.schema import ParityData, Summary, TrainingCurve


def parity_figure(entries: Sequence[ParityData], quantity: str) -> go.Figure:
    """Model against engine on held-out frames of one head; ``quantity`` is energy or force."""
    unit = "meV/atom" if quantity == "energy" else "eV/Å"
    figure = base_figure(f"Engine ({unit})", f"Model ({unit})", 400)
    seen: list[float] = []
    for index, entry in enumerate(entries):
        x, y = parity_values(entry, quantity)
        seen += [*x, *y]
        figure.add_scatter(
            x=x,
            y=y,
            mode="markers",
            name=literal(entry.key),
            marker={"color": colour(index), "symbol": symbol(index), "size": 6, "opacity": 0.6},
            hovertemplate=f"engine %{{x:.3f}}<br>model %{{y:.3f}} {unit}"
            f"<extra>{literal(entry.key)}</extra>",
        )
    if seen:
        margin = 0.04 * (max(seen) - min(seen) or 1.0)
        ends = [min(seen) - margin, max(seen) + margin]
        figure.add_scatter(
            x=ends,
            y=ends,
            mode="lines",
            line={"color": "#444444", "width": 1},
            showlegend=False,
            hoverinfo="skip",
        )
        figure.update_xaxes(range=ends)
        figure.update_yaxes(range=ends)
    return figure


def parity_values(entry: ParityData, quantity: str) -> tuple[list[float], list[float]]:
    """Engine and model values of one key."""
    if quantity == "energy":
        return entry.energy_reference_meV_atom, entry.energy_model_meV_atom
    return entry.force_reference_eV_A, entry.force_model_eV_A


def training_figure(curves: Sequence[TrainingCurve], quantity: str) -> go.Figure:
    """Validation error during training, one line per committee member and head, log scale."""
    unit = "meV/atom" if quantity == "energy" else "meV/Å"
    figure = base_figure("Optimiser step", f"Validation {quantity} RMSE ({unit})", 360)
    dashes = ("solid", "dash", "dot", "dashdot", "longdash")
    heads: dict[str, int] = {}
    for member, curve in enumerate(curves):
        for point in curve.points:
            for name in training_errors(point, quantity):
                heads.setdefault(name, len(heads))
        for head, index in heads.items():
            pairs = [
                (point.step, errors[head])
                for point in curve.points
                if head in (errors := training_errors(point, quantity))
            ]
            figure.add_scatter(
                x=[step for step, _ in pairs],
                y=[value for _, value in pairs],
                mode="lines",
                name=f"{literal(head)}, {literal(curve.model)}",
                line={"color": colour(index), "width": 1.8, "dash": dashes[member % len(dashes)]},
                hovertemplate=f"step %{{x}}<br>%{{y:.2f}} {unit}<extra>%{{fullData.name}}</extra>",
            )
    figure.update_yaxes(type="log", dtick="D2")
    return figure


def verification_figure(summary: Summary) -> go.Figure:
    """Model minus engine for every minimum that the engine computed."""
    found = verification_errors(summary)
    figure = base_figure("", "Model minus engine (meV)", 380)
    for ground, text in ((True, "model's lowest"), (False, "higher minima")):
        chosen = [entry for entry in found if (entry.rank == 0) is ground]
        if not chosen:
            continue
        figure.add_scatter(
            x=[literal(entry.key) for entry in chosen],
            y=[entry.error_meV for entry in chosen],
            mode="markers",
            name=text,
            marker={
                "color": colour(0 if ground else 1),
                "symbol": "circle" if ground else "diamond-open",
                "size": 9,
                "line": {"width": 1.5},
            },
            customdata=[entry.rank for entry in chosen],
            hovertemplate="%{x}, rank %{customdata}<br>%{y:.1f} meV<extra></extra>",
        )
    figure.add_hline(y=0, line={"color": "#444444", "width": 1})
    figure.update_xaxes(
        categoryorder="array",
        categoryarray=list(dict.fromkeys(literal(entry.key) for entry in found)),
    )
    return figure


def bar_figure(names: Sequence[str], parts: Mapping[str, Sequence[float]], unit: str) -> go.Figure:
    """Horizontal stacked bars, one per name, first name on top."""
    figure = base_figure(unit, "", 110 + 26 * len(names))
    for index, (part, values) in enumerate(parts.items()):
        figure.add_bar(
            x=list(values),
            y=[literal(name) for name in names],
            orientation="h",
            name=literal(part),
            marker={"color": colour(index), "line": {"width": 0}},
            hovertemplate="%{y}: %{x:.1f}<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.35, showlegend=len(parts) > 1)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def time_figure(summary: Summary) -> go.Figure:
    """Share of the workflow's wall time per rule."""
    total = sum(row.wall_s for row in summary.jobs) or 1.0
    rows = sorted(summary.jobs, key=lambda row: -row.wall_s)
    shares = [100 * row.wall_s / total for row in rows]
    return bar_figure([row.rule for row in rows], {"wall": shares}, "Share of wall time (%)")


def label_time_figure(summary: Summary) -> go.Figure:
    """Core time of the labels per stage, split by level of theory."""
    stages, parts = label_times(summary)
    return bar_figure(stages, parts, "Core time of labels (s)")
