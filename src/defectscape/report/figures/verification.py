"""Verification: what the model got wrong at the minima that the engine computed."""

from dataclasses import dataclass

from defectscape.report.figures.style import EDGE, WIDTH_IN, Plot, colour, plot, styled
from defectscape.report.names import key_text
from defectscape.summary.schema import Summary


@dataclass(frozen=True)
class VerificationError:
    """Model minus engine at one minimum that the model had not seen."""

    key: str
    rank: int
    error_meV: float


def verification_errors(summary: Summary) -> tuple[VerificationError, ...]:
    """One entry per minimum that the engine computed, in the order of the summary."""
    return tuple(
        VerificationError(key_text(row.defect, row.charge), entry.rank, 1e3 * entry.model_error_eV)
        for row in summary.defects
        for entry in row.minima
        if entry.model_error_eV is not None
    )


@styled
def draw_verification(summary: Summary) -> Plot:
    """Model minus engine for every minimum that the engine computed."""
    found = verification_errors(summary)
    names = list(dict.fromkeys(entry.key for entry in found))
    drawn = plot(max(WIDTH_IN, 0.6 + 0.45 * len(names)), 3.2)
    drawn.axes.axhline(0, color=EDGE, lw=0.8)
    for index, (lowest, text) in enumerate(((True, "model's lowest"), (False, "higher minima"))):
        chosen = [entry for entry in found if (entry.rank == 0) is lowest]
        (points,) = drawn.axes.plot(
            [names.index(entry.key) for entry in chosen],
            [entry.error_meV for entry in chosen],
            "oD"[index],
            ls="none",
            color=colour(index),
            mfc=None if lowest else "none",
            label=text,
        )
        drawn.hover(points, [f"{e.key}, rank {e.rank}: {e.error_meV:+.1f} meV" for e in chosen])
    drawn.axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    drawn.axes.set_ylabel("Model minus engine (meV)")
    drawn.axes.grid()
    drawn.finish()
    return drawn
