"""Configuration-coordinate diagrams: two charge states along one straight path.

The energies come from whoever calls (a model or an engine); here they become the two curves, the
effective phonons at their minima and Huang-Rhys factors.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import constants

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats, Frame
from defectscape.thermo.path import ConfigurationPath
from defectscape.thermo.vibrations import vibrational_quantum_eV

_ANGULAR_FREQUENCY_SI = np.sqrt(constants.e / constants.atomic_mass) / constants.angstrom
PHONON_EV = float(constants.hbar * _ANGULAR_FREQUENCY_SI / constants.e)
"""hbar omega, eV, of a curvature of 1 eV/(amu A^2): 0.0647."""

FIT_FRACTION = 0.5
"""The harmonic fit takes the points up to this fraction of the path from a minimum."""

FEWEST_FIT_POINTS = 4
ANHARMONIC_RMS = 0.05
"""A fit is called anharmonic where its RMS error exceeds this part of the energies fitted."""

LARGEST_OFFSET = 0.25
"""... or where its minimum is this fraction of the path away from the ground state."""


@dataclass(frozen=True)
class HarmonicFit:
    """The parabola at one minimum.

    Attributes:
        phonon_energy_eV: hbar omega, eV; None where the curve is not curved upwards.
        huang_rhys: relaxation energy of this curve over ``phonon_energy_eV``; None where either
            has no meaning.
        relaxation_energy_eV: energy on this curve at the other ground state above its own, eV.
        minimum_amu05_A: coordinate of the parabola's minimum, None where there is none.
        rms_eV: RMS error of the fit, eV.
        points: number of points fitted.
        anharmonic: whether a parabola is a bad description; None where three points leave nothing
            to judge it by.
        quantum_eV: spacing of the two lowest vibrational levels of the curve as it is, eV; None if the
            curve ends below them.
    """

    phonon_energy_eV: float | None
    huang_rhys: float | None
    relaxation_energy_eV: float
    minimum_amu05_A: float | None
    rms_eV: float
    points: int
    anharmonic: bool | None
    quantum_eV: float | None


@dataclass(frozen=True, eq=False)
class Ccd:
    """A configuration-coordinate diagram.

    Attributes:
        path: the geometries.
        dE_eV: energy of the final ground state above the initial one, as given, eV.
        energies_initial_eV: initial charge state along the path, (n,), eV; 0 at its ground state.
        energies_final_eV: final charge state, (n,), eV; ``dE_eV`` at its ground state.
        fit_initial, fit_final: harmonic fits around either ground state.
    """

    path: ConfigurationPath
    dE_eV: float
    energies_initial_eV: Floats
    energies_final_eV: Floats
    fit_initial: HarmonicFit
    fit_final: HarmonicFit


def trace_ccd(path: ConfigurationPath, energy_eV: Callable[[Frame], float], dE_eV: float) -> Ccd:
    """Both curves of ``path``, on one scale.

    Args:
        path: the geometries in both charge states.
        energy_eV: raw supercell energy of a frame in the frame's own charge state, eV.
        dE_eV: zero-phonon offset: what the final ground state with its carrier in the band lies
            above the initial one. With a level at t above the VBM, an electron captured from the
            conduction band (charge falls by one) gives t - gap, an electron taken from the valence
            band gives t; the reverse steps give the opposite.

    Raises:
        ThermoError: if an energy is not finite.
    """
    initial = _energies(path.frames_initial, energy_eV)
    final = _energies(path.frames_final, energy_eV)
    start = int(np.flatnonzero(path.fractions == 0.0)[0])
    end = int(np.flatnonzero(path.fractions == 1.0)[0])
    initial = initial - initial[start]
    final = final - final[end] + dE_eV
    initial.setflags(write=False)
    final.setflags(write=False)
    return Ccd(
        path=path,
        dE_eV=dE_eV,
        energies_initial_eV=initial,
        energies_final_eV=final,
        fit_initial=fit_minimum(path.Q_amu05_A, initial, start, end),
        fit_final=fit_minimum(path.Q_amu05_A, final, end, start),
    )


def fit_minimum(
    Q_amu05_A: Floats,
    energies_eV: Floats,
    own: int,
    other: int,
) -> HarmonicFit:
    """Fit E = E0 + omega^2 (Q - Q0)^2 / 2 around a ground state.

    Args:
        Q_amu05_A, energies_eV: the curve, (n,) each, n at least 3.
        own: index of this curve's ground state.
        other: index of the other curve's.

    Source: A. Alkauskas et al., Phys. Rev. Lett. 109, 267401 (2012): effective phonon and
    Huang-Rhys factor S = E_relax / (hbar omega).
    """
    span = float(Q_amu05_A[other] - Q_amu05_A[own])
    offsets = (Q_amu05_A - Q_amu05_A[own]) / span
    near = np.abs(offsets) <= FIT_FRACTION + 1e-9
    if near.sum() < FEWEST_FIT_POINTS:
        near = np.zeros(len(offsets), dtype=bool)
        near[np.argsort(np.abs(offsets), kind="stable")[:FEWEST_FIT_POINTS]] = True
    x, y = offsets[near], energies_eV[near]
    second, first, constant = np.polyfit(x, y, 2)
    rms = float(np.sqrt(np.mean((np.polyval((second, first, constant), x) - y) ** 2)))
    relaxation = float(energies_eV[other] - energies_eV[own])
    count = int(near.sum())
    quantum_eV = vibrational_quantum_eV(Q_amu05_A, energies_eV)
    if second <= 0:
        return HarmonicFit(None, None, relaxation, None, rms, count, True, quantum_eV)
    minimum = -first / (2 * second)
    phonon = PHONON_EV * float(np.sqrt(2 * second)) / abs(span)
    large = rms > ANHARMONIC_RMS * float(np.ptp(y)) or abs(minimum) > LARGEST_OFFSET
    return HarmonicFit(
        phonon_energy_eV=phonon,
        huang_rhys=relaxation / phonon if relaxation > 0 else None,
        relaxation_energy_eV=relaxation,
        minimum_amu05_A=float(Q_amu05_A[own] + minimum * span),
        rms_eV=rms,
        points=count,
        anharmonic=None if count < FEWEST_FIT_POINTS else bool(large or relaxation <= 0),
        quantum_eV=quantum_eV,
    )


def _energies(frames: tuple[Frame, ...], energy_eV: Callable[[Frame], float]) -> Floats:
    values = np.array([energy_eV(frame) for frame in frames], dtype=float)
    for frame, value in zip(frames, values, strict=True):
        if not np.isfinite(value):
            raise ThermoError(f"energy of the {frame.note}", value, "Compute it again")
    return values
