"""What is known of the host's own stability: its test, and the atoms far from each defect."""

from collections.abc import Sequence

from defectscape.search.far_atoms import MOVED_A
from defectscape.study.context import StudyContext
from defectscape.study.host_stability import HostStability, read_host_stability
from defectscape.summary.schema import DefectSummary, HostTest

MANY = 1 / 3
"""Share of the far atoms that have left their places when a crystal changes phase: the oxygen atoms that turn in a
perovskite are 2 in 5. In the strained small cells of data/sb2se3 up to 1 in 4 are displaced."""
FEWEST = 8
"""Fewer far atoms tell nothing of the crystal."""


def host_test(context: StudyContext) -> HostTest | None:
    """The test of the host as a row of the summary; None for a study without one."""
    found = read_host_stability(context)
    if found is None:
        return None
    ends = found.tested
    highs = [end.high_eV for end in ends if end.high_eV is not None]
    lows = [end.low_eV for end in ends if end.low_eV is not None]
    return HostTest(
        distortions=len(ends),
        failed=len(found.ends) - len(ends),
        lowest_low_eV=min(lows, default=None),
        lowest_high_eV=min(highs, default=None),
        curvature_eV_A2=found.curvature_eV_A2,
        stable=found.lower is None,
        labels={
            name: len(outcomes) for name, outcomes in zip(context.fidelity_names, (found.low, found.high), strict=True)
        },
        text=_text(found, *context.fidelity_names),
    )


def _text(found: HostStability, low: str, high: str) -> str:
    """The test in a sentence."""
    lows = [end.low_eV for end in found.tested if end.low_eV is not None]
    count = len(found.tested)
    words = f"{count} distortion{'s' * (count > 1)} of the perfect supercell relaxed"
    if len(found.ends) > len(found.tested):
        words += f" ({len(found.ends) - len(found.tested)} more failed)"
    if lows:
        words += f"; the lowest ended {_signed(min(lows))} by {low}"
    highs = [end.high_eV for end in found.tested if end.high_eV is not None]
    if highs:
        words += f", and of those that fell there or along the softest mode the lowest {_signed(min(highs))} by {high}"
    if found.curvature_eV_A2 is None:
        words += f"; its curvature was not measured ({found.not_measured})"
    else:
        words += f"; its softest mode has {found.curvature_eV_A2:+.2f} eV/Å² by {high}"
    return words


def _signed(above_eV: float) -> str:
    return f"{1e3 * abs(above_eV):.0f} meV {'above' if above_eV >= 0 else 'below'} it"


def stability_lines(context: StudyContext) -> list[str]:
    """What the reader must know of the host's test."""
    found, settings = read_host_stability(context), context.study.host.stability
    if found is None or settings is None:
        return []
    lines = []
    if found.lower is not None:
        lines.append(
            f"The crystal has a structure {found.lower.below_eV:.3f} eV per supercell below the host, with atoms up to "
            f"{found.lower.moved_A:.2f} A from their places, which the study accepts "
            "(host.stability.accept_unstable): gains of defects may be the crystal's."
        )
    if found.host_fmax_eV_A > settings.fmax_eV_A:
        lines.append(
            f"The perfect supercell is not relaxed: its largest force is {found.host_fmax_eV_A:.2f} eV/A by "
            f"{context.fidelity_settings('high').name}. Defects gain from relaxing it; host.relax does that before."
        )
    return lines


def far_lines(defects: Sequence[DefectSummary], tolerance_eV: float) -> list[str]:
    """Gains over the plain relaxation that may be the crystal's, since its atoms have moved far from the defect."""
    return [
        f"{row.key}: its gain of {row.gain_over_unperturbed_eV:.3f} eV may be the host's and not the defect's: "
        f"{row.far.displaced} of the {row.far.atoms} atoms farther than {row.far.radius_A:.1f} A from its site are "
        f"over {MOVED_A:g} A from their places in the crystal (RMS {row.far.rms_A:.2f} A), as if it changed phase."
        for row in defects
        if row.far is not None
        and row.far.atoms >= FEWEST
        and row.far.displaced > MANY * row.far.atoms
        and (row.gain_over_unperturbed_eV or 0.0) > tolerance_eV
    ]
