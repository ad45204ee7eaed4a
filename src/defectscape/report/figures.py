"""Interactive figures of results, as plotly objects: energies, levels, search, coordinates."""

from collections.abc import Sequence

import plotly.graph_objects as go

from defectscape.report.figures_data import (
    CHARGE_LABEL_SHARE,
    Envelope,
    LevelMark,
    Strip,
    ccd_curves,
    charge_text,
    defect_names,
    energy_range,
    fermi_range,
    formation_lines,
    level_marks,
    lower_envelope,
)
from defectscape.report.figures_style import (
    BAND,
    EDGE,
    base_figure,
    colour,
    faded,
    literal,
    symbol,
    wrapped,
)
from defectscape.summary.schema import CcdSummary, Summary


def _bands(figure: go.Figure, summary: Summary) -> None:
    """Grey the Fermi levels outside the gap."""
    low, high = fermi_range(summary)
    for start, end in ((low, 0.0), (summary.host.gap_eV, high)):
        figure.add_vrect(x0=start, x1=end, fillcolor=BAND, line_width=0, layer="below")
    for edge in (0.0, summary.host.gap_eV):
        figure.add_vline(x=edge, line={"color": EDGE, "width": 1, "dash": "dot"})
    figure.update_xaxes(range=[low, high])


def formation_figure(summary: Summary, limit: str) -> go.Figure:
    """Formation energies against the Fermi level at one limit: hull thick, all charges thin."""
    figure = base_figure("Fermi level above VBM (eV)", "Formation energy (eV)", 420)
    low, high = fermi_range(summary)
    names = defect_names(summary)
    hulls: list[Envelope] = []
    for name, lines in formation_lines(summary, limit).items():
        index = names.index(name)
        for line in lines:
            figure.add_scatter(
                x=[low, high],
                y=[line.at(low), line.at(high)],
                mode="lines",
                line={"color": faded(index, 0.35), "width": 1},
                showlegend=False,
                hoverinfo="skip",
            )
        hulls.append(lower_envelope(lines, low, high))
        _hull(figure, index, name, hulls[-1])
    _bands(figure, summary)
    figure.update_yaxes(range=list(energy_range(hulls)))
    return figure


def _hull(figure: go.Figure, index: int, name: str, hull: Envelope) -> None:
    """Thick hull with its uncertainty, a marker at each kink and the charge on each piece."""
    label = literal(name)
    for i, line in enumerate(hull.lines):
        x = list(hull.fermi_eV[i : i + 2])
        y = hull.energy_eV[i : i + 2]
        upper = [value + line.uncertainty_eV for value in y]
        lower = [value - line.uncertainty_eV for value in y]
        figure.add_scatter(
            x=[*x, *reversed(x)],
            y=[*upper, *reversed(lower)],
            fill="toself",
            fillcolor=faded(index, 0.18),
            line={"width": 0},
            mode="lines",
            showlegend=False,
            hoverinfo="skip",
        )
        if x[1] - x[0] > CHARGE_LABEL_SHARE * (hull.fermi_eV[-1] - hull.fermi_eV[0]):
            figure.add_annotation(
                x=sum(x) / 2,
                y=sum(y) / 2,
                text=charge_text(line.charge),
                showarrow=False,
                yshift=11,
                font={"color": colour(index), "size": 12},
                bgcolor="rgba(255,255,255,0.75)",
                borderpad=0,
            )
    figure.add_scatter(
        x=hull.fermi_eV,
        y=hull.energy_eV,
        mode="lines+markers",
        name=label,
        line={"color": colour(index), "width": 2.5},
        marker={
            "symbol": symbol(index),
            "size": [0, *(8 for _ in hull.kinks_eV), 0],
            "opacity": 1,
            "line": {"width": 0},
        },
        hovertemplate=f"{label}<br>E_F %{{x:.3f}} eV<br>E_form %{{y:.3f}} eV<extra></extra>",
    )


def level_figure(summary: Summary) -> go.Figure:
    """Gap box with the levels inside it, their uncertainties and their charges."""
    low, high = fermi_range(summary)
    gap = summary.host.gap_eV
    names = list(dict.fromkeys(level.defect for level in summary.levels))
    figure = base_figure("", "Energy above VBM (eV)", 460)
    for start, end, text in ((low, 0.0, "VBM"), (gap, high, "CBM")):
        figure.add_hrect(y0=start, y1=end, fillcolor="#dddddd", line_width=0, layer="below")
        figure.add_annotation(
            x=-0.48, y=(start + end) / 2, text=text, showarrow=False, xanchor="left"
        )
    for mark in level_marks(summary):
        _level(figure, mark, literal(names[mark.column]))
    ticks = list(range(len(names)))
    figure.update_xaxes(
        tickvals=ticks,
        ticktext=[literal(name) for name in names],
        range=[-0.5, max(len(names), 1) - 0.5],
        showgrid=False,
    )
    figure.update_yaxes(range=[low, high], showgrid=False)
    return figure


def _level(figure: go.Figure, mark: LevelMark, name: str) -> None:
    """One level: its line, its error bar, and its label with a leader."""
    left, right = mark.column - 0.4, mark.column - 0.02
    figure.add_scatter(
        x=[left, right],
        y=[mark.level_eV] * 2,
        mode="lines",
        line={
            "color": colour(mark.column),
            "width": 3 if mark.stable else 1.5,
            "dash": "solid" if mark.stable else "dot",
        },
        showlegend=False,
        hovertemplate=f"{name} {mark.text}<br>%{{y:.3f}} ± "
        f"{mark.uncertainty_eV:.3f} eV<extra></extra>",
    )
    figure.add_scatter(
        x=[(left + right) / 2],
        y=[mark.level_eV],
        mode="markers",
        marker={"size": 1, "color": colour(mark.column)},
        error_y={"array": [mark.uncertainty_eV], "width": 6, "thickness": 1.5},
        showlegend=False,
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[right, mark.column + 0.05],
        y=[mark.level_eV, mark.label_eV],
        mode="lines",
        line={"color": "#999999", "width": 1},
        showlegend=False,
        hoverinfo="skip",
    )
    figure.add_annotation(
        x=mark.column + 0.06,
        y=mark.label_eV,
        text=mark.text if mark.stable else f"({mark.text})",
        showarrow=False,
        xanchor="left",
        font={"size": 12},
    )


def search_figure(summary: Summary, strip: Strip) -> go.Figure:
    """Energy of each relaxation of one defect against its start; failures as open crosses."""
    figure = base_figure("Energy above lowest (eV)", "", 300)
    charges = {row.key: row.charge for row in summary.defects}
    keys = sorted({p.key for p in strip.points}, key=lambda key: (-charges.get(key, 0), key))
    for index, key in enumerate(keys):
        name = f"q = {charge_text(charges[key])}" if key in charges else key
        for converged in (True, False):
            chosen = [
                (point, drawn)
                for point, drawn in zip(strip.points, strip.drawn_eV, strict=True)
                if point.key == key and point.converged is converged
            ]
            if not chosen:
                continue
            shift = 0.7 * ((index + 0.5) / len(keys) - 0.5)
            figure.add_scatter(
                x=[drawn for _, drawn in chosen],
                y=[strip.starts.index(point.start) + shift for point, _ in chosen],
                mode="markers",
                name=literal(name),
                legendgroup=key,
                showlegend=converged,
                marker={
                    "color": colour(index),
                    "symbol": symbol(index) if converged else "x-thin-open",
                    "size": 8,
                    "line": {"width": 0 if converged else 2, "color": colour(index)},
                },
                customdata=[
                    [literal(point.start), literal(point.reason), point.energy_above_lowest_eV]
                    for point, _ in chosen
                ],
                hovertemplate="%{customdata[0]}<br>%{customdata[2]:.3f} eV<br>%{customdata[1]}"
                f"<extra>{literal(key)}</extra>",
            )
    rows = len(strip.starts)
    figure.update_layout(height=120 + max(32, 11 * len(keys)) * rows)
    figure.update_xaxes(range=list(strip.window_eV))
    figure.update_yaxes(
        tickvals=list(range(rows)),
        ticktext=[wrapped(name) for name in strip.starts],
        range=[rows - 0.5, -0.5],
        tickfont={"size": 11},
    )
    return figure


def ccd_figure(ccd: CcdSummary) -> go.Figure:
    """Two curves on one scale at E_F = VBM, with committee standard deviations as bars."""
    curves = ccd_curves(ccd)
    figure = base_figure("Q (√amu Å)", "Energy at E<sub>F</sub> = VBM (eV)", 400)
    sides: Sequence[tuple[int, tuple[float, ...], list[float], str]] = (
        (ccd.initial_charge, curves.initial_eV, ccd.initial_std_eV, "initial"),
        (ccd.final_charge, curves.final_eV, ccd.final_std_eV, "final"),
    )
    for index, (charge, energies, std, role) in enumerate(sides):
        figure.add_scatter(
            x=curves.Q_amu05_A,
            y=energies,
            mode="lines+markers",
            name=f"{charge_text(charge)} ({role})",
            line={"color": colour(index), "width": 1.5, "shape": "spline"},
            marker={"symbol": symbol(index), "size": 8},
            error_y={"array": list(std), "width": 4, "thickness": 1.2},
            hovertemplate="Q %{x:.2f}<br>%{y:.3f} eV<extra></extra>",
        )
    for index, model_eV in enumerate((curves.initial_model_eV, curves.final_model_eV)):
        if model_eV:
            figure.add_scatter(
                x=curves.Q_amu05_A, y=model_eV, mode="lines", showlegend=False, hoverinfo="skip",
                line={"color": faded(index, 0.5), "width": 1.2, "dash": "dot", "shape": "spline"},
            )  # fmt: skip
    for index, checks in enumerate((curves.initial_checks, curves.final_checks)):
        if checks:
            figure.add_scatter(
                x=[Q for Q, _ in checks], y=[energy for _, energy in checks], mode="markers",
                name=f"{charge_text(sides[index][0])}, engine", showlegend=True,
                marker={
                    "symbol": "circle-open", "size": 13, "color": colour(index),
                    "line": {"width": 2},
                },
                hovertemplate="engine<br>Q %{x:.2f}<br>%{y:.3f} eV<extra></extra>",
            )  # fmt: skip
    for level in (0.0, curves.offset_eV):
        figure.add_hline(y=level, line={"color": "#999999", "width": 1, "dash": "dot"})
    return figure
