"""Configuration-coordinate diagrams: two charge states' energies along one path."""

from dataclasses import dataclass

from defectscape.report.figures.style import LEADER, WIDTH_IN, Plot, colour, marker, plot, styled
from defectscape.report.names import charge_text, pair_text
from defectscape.summary.schema import CcdSummary


@dataclass(frozen=True)
class CcdCurves:
    """Both curves of a configuration-coordinate diagram on one energy scale, E_F = VBM.

    The initial charge's minimum is at 0; the final one's at ``offset_eV``. Checks are the engine's
    points, as (Q, energy).
    """

    Q_amu05_A: tuple[float, ...]
    initial_eV: tuple[float, ...]
    final_eV: tuple[float, ...]
    offset_eV: float
    initial_checks: tuple[tuple[float, float], ...] = ()
    final_checks: tuple[tuple[float, float], ...] = ()
    initial_model_eV: tuple[float, ...] = ()
    final_model_eV: tuple[float, ...] = ()


def ccd_curves(ccd: CcdSummary) -> CcdCurves:
    """Put the two curves of a pair into their relative position.

    At the level e(q/q') both formation energies E_q + q E_F agree, so at E_F = VBM the final state
    lies (q_initial - q_final) * e above the initial one.
    """
    offset = (ccd.initial_charge - ccd.final_charge) * ccd.level_eV
    final = tuple(energy + offset for energy in ccd.final_eV)
    return CcdCurves(
        tuple(ccd.Q_amu05_A),
        tuple(ccd.initial_eV),
        final,
        offset,
        tuple((point.Q_amu05_A, point.engine_eV) for point in ccd.initial_checks),
        tuple((point.Q_amu05_A, point.engine_eV + offset) for point in ccd.final_checks),
        tuple(ccd.initial_model_eV),
        tuple(energy + offset for energy in ccd.final_model_eV),
    )


@styled
def draw_coordinates(ccd: CcdSummary) -> Plot:
    """Both curves at E_F = VBM, committee standard deviations as bars, the engine's points as rings."""
    curves = ccd_curves(ccd)
    drawn = plot(WIDTH_IN, 3.3, pair_text(ccd))
    for level in (0.0, curves.offset_eV):
        drawn.axes.axhline(level, color=LEADER, lw=0.7, ls=":")
    sides = (
        (
            ccd.initial_charge,
            "initial",
            curves.initial_eV,
            ccd.initial_std_eV,
            curves.initial_model_eV,
            curves.initial_checks,
        ),
        (ccd.final_charge, "final", curves.final_eV, ccd.final_std_eV, curves.final_model_eV, curves.final_checks),
    )
    for index, (charge, role, energies, deviations, model_eV, checks) in enumerate(sides):
        name, tint = f"q = {charge_text(charge)} ({role})", colour(index)
        line, *_ = drawn.axes.errorbar(
            curves.Q_amu05_A,
            energies,
            deviations,
            marker=marker(index),
            ms=5,
            lw=1.4,
            capsize=3,
            label=name,
            color=tint,
        )
        points = zip(curves.Q_amu05_A, energies, deviations, strict=True)
        drawn.hover(line, [f"{name}, Q {x:.2f}: {y:.3f} ± {std:.3f} eV" for x, y, std in points])
        if model_eV:
            drawn.axes.plot(curves.Q_amu05_A, model_eV, ":", lw=1, alpha=0.6, color=tint)
        if checks:
            (rings,) = drawn.axes.plot(
                *zip(*checks, strict=True),
                "o",
                mfc="none",
                ms=10,
                color=tint,
                label="_" if index and curves.initial_checks else "engine",
            )
            drawn.hover(rings, [f"{name}, engine, Q {x:.2f}: {y:.3f} eV" for x, y in checks])
    drawn.axes.set(xlabel="Q (√amu Å)", ylabel="Energy at Fermi level = VBM (eV)")
    drawn.finish()
    return drawn
