"""Static figures of results as PNG and PDF, drawn by matplotlib from the same data as the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from defectscape.report import figures_static_trust as trust
from defectscape.report.concentrations_data import concentration_curves, concentration_limits
from defectscape.report.figures_canvas import MARKERS, STYLE, canvas, empty, plain
from defectscape.report.figures_data import (
    CHARGE_LABEL_SHARE,
    PALETTE,
    Envelope,
    ccd_curves,
    ccd_text,
    charge_text,
    defect_names,
    energy_range,
    fermi_range,
    formation_lines,
    level_marks,
    limits,
    lower_envelope,
    search_by_defect,
)
from defectscape.report.figures_trust_data import parity_by_fidelity
from defectscape.summary.schema import Summary


def write_figures(summary: Summary, folder: Path) -> tuple[Path, ...]:
    """Write every figure that the summary has something for, as PNG and PDF."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Callable[[Summary], Figure]] = {
        "formation_energies": formation_energies,
        "levels": level_diagram,
        "parity": parity,
        "search": search,
        **({"concentrations": concentrations} if concentration_limits(summary) else {}),
        **({"configuration_coordinates": configuration_coordinates} if summary.ccd else {}),
        **trust.figures(summary),
    }
    paths: list[Path] = []
    with mpl.rc_context(STYLE):
        for name, draw in drawn.items():
            figure = draw(summary)
            for suffix, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
                path = folder / f"{name}.{suffix}"
                figure.savefig(path, dpi=160, metadata=metadata)
                paths.append(path)
    return tuple(paths)


def formation_energies(summary: Summary) -> Figure:
    """Formation energies against the Fermi level, one panel per limit."""
    names = limits(summary)
    figure, panels = canvas(len(names), 3.6, 3.4)
    if not names:
        empty(panels[0], "no formation energies")
    low, high = fermi_range(summary)
    order = defect_names(summary)
    for axes, limit in zip(panels, names, strict=False):
        for start, end in ((low, 0.0), (summary.host.gap_eV, high)):
            axes.axvspan(start, end, color="#eeeeee", lw=0)
        hulls: list[Envelope] = []
        for name, lines in formation_lines(summary, limit).items():
            index = order.index(name)
            colour = PALETTE[index % len(PALETTE)]
            for line in lines:
                ends = [line.at(low), line.at(high)]
                axes.plot([low, high], ends, color=colour, lw=0.6, alpha=0.4)
            hull = lower_envelope(lines, low, high)
            hulls.append(hull)
            axes.plot(hull.fermi_eV, hull.energy_eV, color=colour, lw=2, label=plain(name))
            axes.plot(
                hull.kinks_eV,
                hull.energy_eV[1:-1],
                MARKERS[index % len(MARKERS)],
                color=colour,
                ms=5,
            )
            for i, line in enumerate(hull.lines):
                x = hull.fermi_eV[i : i + 2]
                y = hull.energy_eV[i : i + 2]
                sigma = line.uncertainty_eV
                bounds = ([v - sigma for v in y], [v + sigma for v in y])
                axes.fill_between(x, *bounds, color=colour, alpha=0.18, lw=0)
                if x[1] - x[0] > CHARGE_LABEL_SHARE * (high - low):
                    axes.annotate(
                        charge_text(line.charge),
                        (sum(x) / 2, sum(y) / 2),
                        xytext=(0, 4),
                        textcoords="offset points",
                        ha="center",
                        color=colour,
                        fontsize=8,
                    )
        axes.set(ylim=energy_range(hulls))
        axes.set(xlim=(low, high), xlabel="Fermi level above VBM (eV)", title=plain(limit))
        axes.legend(fontsize=8)
    panels[0].set_ylabel("Formation energy (eV)")
    return figure


def level_diagram(summary: Summary) -> Figure:
    """Levels in the gap with their uncertainties; unstable ones dotted, in brackets."""
    names = list(dict.fromkeys(level.defect for level in summary.levels))
    figure, (axes,) = canvas(1, max(3.2, 1.3 * len(names)), 3.6)
    low, high = fermi_range(summary)
    for start, end, text in ((low, 0.0, "VBM"), (summary.host.gap_eV, high, "CBM")):
        axes.axhspan(start, end, color="#dddddd", lw=0)
        axes.text(-0.47, (start + end) / 2, text, va="center", fontsize=8)
    for mark in level_marks(summary):
        colour = PALETTE[mark.column % len(PALETTE)]
        left, right = mark.column - 0.4, mark.column - 0.02
        axes.plot(
            [left, right],
            [mark.level_eV] * 2,
            color=colour,
            lw=2.4 if mark.stable else 1.2,
            ls="-" if mark.stable else ":",
        )
        axes.errorbar(
            (left + right) / 2, mark.level_eV, mark.uncertainty_eV, color=colour, capsize=3, lw=1
        )
        axes.plot(
            [right, mark.column + 0.05], [mark.level_eV, mark.label_eV], color="#999999", lw=0.7
        )
        text = mark.text if mark.stable else f"({mark.text})"
        axes.text(mark.column + 0.07, mark.label_eV, text, va="center", fontsize=8)
    axes.set_xticks(range(len(names)), [plain(name) for name in names])
    axes.set(xlim=(-0.5, max(len(names), 1) - 0.5), ylim=(low, high))
    axes.set_ylabel("Energy above VBM (eV)")
    return figure


def parity(summary: Summary) -> Figure:
    """Model against engine on held-out frames: energies and forces of each head."""
    heads = parity_by_fidelity(summary)
    figure, panels = canvas(2 * len(heads), 3.0, 3.2)
    if not heads:
        empty(panels[0], "no held-out frames")
    for row, (head, entries) in enumerate(heads.items()):
        energy, force = panels[2 * row], panels[2 * row + 1]
        for index, entry in enumerate(entries):
            colour = PALETTE[index % len(PALETTE)]
            style: dict[str, Any] = {"color": colour, "alpha": 0.6, "ms": 3, "ls": "none"}
            marker = MARKERS[index % len(MARKERS)]
            label = plain(entry.key)
            energy.plot(
                entry.energy_reference_meV_atom,
                entry.energy_model_meV_atom,
                marker,
                label=label,
                **style,
            )
            force.plot(
                entry.force_reference_eV_A, entry.force_model_eV_A, marker, label=label, **style
            )
        for axes, what, unit in ((energy, "energy", "meV/atom"), (force, "force", "eV/Å")):
            axes.axline((0, 0), slope=1, color="#444444", lw=0.8)
            axes.set_aspect("equal", adjustable="datalim")
            axes.set(
                title=f"{plain(head)}: {what}", xlabel=f"Engine ({unit})", ylabel=f"Model ({unit})"
            )
        energy.legend(fontsize=7)
    return figure


def search(summary: Summary) -> Figure:
    """Energy of each relaxation against its start, one panel per defect; failures as crosses."""
    strips = search_by_defect(summary)
    rows = max((len(strip.starts) for strip in strips.values()), default=1)
    figure, panels = canvas(len(strips), 4.6, max(2.4, 1.0 + 0.24 * rows))
    if not strips:
        empty(panels[0], "no relaxations")
    charges = {row.key: row.charge for row in summary.defects}
    for axes, (name, strip) in zip(panels, strips.items(), strict=False):
        keys = sorted({p.key for p in strip.points}, key=lambda key: (-charges.get(key, 0), key))
        for index, key in enumerate(keys):
            shift = 0.7 * ((index + 0.5) / len(keys) - 0.5)
            for converged in (True, False):
                chosen = [
                    (drawn, strip.starts.index(point.start) + shift)
                    for point, drawn in zip(strip.points, strip.drawn_eV, strict=True)
                    if point.key == key and point.converged is converged
                ]
                axes.plot(
                    [x for x, _ in chosen],
                    [y for _, y in chosen],
                    MARKERS[index % len(MARKERS)] if converged else "x",
                    color=PALETTE[index % len(PALETTE)],
                    ls="none",
                    ms=4 if converged else 5,
                    label=plain(key) if converged else None,
                )
        starts = [plain(text) for text in strip.starts]
        axes.set_yticks(range(len(starts)), starts, fontsize=7)
        axes.set(xlim=strip.window_eV, ylim=(len(strip.starts) - 0.5, -0.5), title=plain(name))
        axes.set_xlabel("Energy above lowest (eV)")
        axes.grid(axis="y", color="#eeeeee", lw=0.6)
        axes.legend(fontsize=7, loc="best", frameon=True, edgecolor="none")
    return figure


def concentrations(summary: Summary) -> Figure:
    """Defects and carriers after quenching against the temperature of annealing, one panel per limit."""
    names = concentration_limits(summary)
    figure, panels = canvas(len(names), 3.6, 3.2)
    for axes, limit in zip(panels, names, strict=True):
        for curve in concentration_curves(summary, limit):
            colour = "#555555" if curve.index is None else PALETTE[curve.index % len(PALETTE)]
            marker = None if curve.index is None else MARKERS[curve.index % len(MARKERS)]
            axes.semilogy(
                curve.annealing_K, curve.values_cm3, color=colour, marker=marker, ms=5, lw=1.6,
                ls={"electrons": "--", "holes": ":"}.get(curve.name, "-"), label=plain(curve.name),
            )  # fmt: skip
        axes.set(xlabel="Annealed at (K)", title=plain(limit))
        axes.legend(fontsize=8)
    panels[0].set_ylabel("After quenching (cm$^{-3}$)")
    return figure


def configuration_coordinates(summary: Summary) -> Figure:
    """Both charge states' energies along each path, with committee standard deviations."""
    figure, panels = canvas(len(summary.ccd), 3.4, 3.2)
    for axes, row in zip(panels, summary.ccd, strict=True):
        curves = ccd_curves(row)
        for index, (charge, energies, std) in enumerate(
            (
                (row.initial_charge, curves.initial_eV, row.initial_std_eV),
                (row.final_charge, curves.final_eV, row.final_std_eV),
            )
        ):
            axes.errorbar(
                curves.Q_amu05_A, energies, std, color=PALETTE[index], marker=MARKERS[index], ms=5,
                lw=1.4, capsize=3, label=f"q = {charge_text(charge)}",
            )  # fmt: skip
        for index, model_eV in enumerate((curves.initial_model_eV, curves.final_model_eV)):
            if model_eV:
                axes.plot(curves.Q_amu05_A, model_eV, ":", color=PALETTE[index], lw=1, alpha=0.6)
        for index, checks in enumerate((curves.initial_checks, curves.final_checks)):
            axes.plot(
                [Q for Q, _ in checks], [energy for _, energy in checks], "o", mfc="none", ms=10,
                color=PALETTE[index], label="engine" if checks and not index else None,
            )  # fmt: skip
        axes.set(xlabel="Q (amu$^{1/2}$ Å)", title=plain(ccd_text(row)))
        axes.legend(fontsize=8)
    panels[0].set_ylabel("Energy at $E_F$ = VBM (eV)")
    return figure
