"""Curves of a model, moved onto the points of them that an engine has computed.

What a model gets wrong along a path is smoother than the curve itself, so a few points of the engine mend
it: their differences are interpolated and added. How well is told by leaving each point out in turn.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.interpolate import PchipInterpolator

from defectscape.domain.frame import Floats
from defectscape.thermo.ccd import Ccd, fit_minimum

FEWEST_POINTS = 3
"""Points of a curve, its ground state among them, below which nothing is interpolated."""


def correction_eV(Q: Floats, points: Sequence[int], differences_eV: Sequence[float]) -> Floats:
    """Differences at some points of a curve, interpolated to all of it: shape-preserving cubics, (n,).

    Beyond the outermost points the correction stays what it is there.

    Args:
        Q: coordinate of the curve's points, (n,), ascending.
        points: which of them are known, at least two.
        differences_eV: engine less model there, eV.
    """
    order = np.argsort(points)
    known_Q, known = Q[np.asarray(points)[order]], np.asarray(differences_eV, float)[order]
    return np.asarray(PchipInterpolator(known_Q, known)(np.clip(Q, known_Q[0], known_Q[-1])))


def left_out_rms_eV(Q: Floats, points: Sequence[int], differences_eV: Sequence[float], zero: int) -> float | None:
    """RMS error of the correction at points that it was not told of, eV; None if there are too few.

    The curve's ground state is its zero and is never left out; neither are the outermost points, beyond
    which nothing is known.
    """
    inner = sorted(points)[1:-1]
    errors = []
    for left_out in (point for point in inner if point != zero):
        rest = [(p, d) for p, d in zip(points, differences_eV, strict=True) if p != left_out]
        if len(rest) < FEWEST_POINTS - 1:
            continue
        expected = correction_eV(Q, [p for p, _ in rest], [d for _, d in rest])[left_out]
        errors.append(differences_eV[list(points).index(left_out)] - expected)
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else None


def corrected(
    ccd: Ccd,
    initial: tuple[Sequence[int], Sequence[float]],
    final: tuple[Sequence[int], Sequence[float]],
) -> Ccd:
    """A diagram with both curves moved onto the engine's points, fitted again.

    Args:
        ccd: the model's.
        initial, final: for each curve the points that the engine computed, and engine less model
            there, both above the curve's own ground state, eV. A curve with fewer than three stays.
    """
    Q = ccd.path.Q_amu05_A
    curves = []
    for energies, (points, differences) in (
        (ccd.energies_initial_eV, initial),
        (ccd.energies_final_eV, final),
    ):
        moved = energies.copy()
        if len(points) >= FEWEST_POINTS:
            moved = moved + correction_eV(Q, points, differences)
        moved.setflags(write=False)
        curves.append(moved)
    start, end = (int(np.flatnonzero(ccd.path.fractions == value)[0]) for value in (0.0, 1.0))
    return replace(
        ccd,
        energies_initial_eV=curves[0],
        energies_final_eV=curves[1],
        fit_initial=fit_minimum(Q, curves[0], start, end),
        fit_final=fit_minimum(Q, curves[1], end, start),
    )
