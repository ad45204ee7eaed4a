"""Nonradiative capture of carriers by multiphonon emission, along one generalised coordinate.

The golden rule of A. Alkauskas, Q. Yan and C. G. Van de Walle, Phys. Rev. B 90, 075202 (2014), with the
vibrational levels of the two curves as they are: no parabola is assumed.
"""

from dataclasses import dataclass

import numpy as np
from scipy import constants
from scipy.interpolate import CubicSpline, PchipInterpolator

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats
from defectscape.thermo.vibrations import VibrationalLevels, vibrational_levels

HBAR_EV_S = float(constants.hbar / constants.e)
KB_EV_K = float(constants.k / constants.e)
CM3_PER_A3 = 1e-24

REACH_KT = 20.0
LEAST_REACH_EV = 0.3
"""Levels up to this many kT above the crossing of the curves are looked at, and at least so far."""

TOP_KT = 2.0
TOP_SHARE = 0.02
"""Levels of the initial curve in the uppermost ``TOP_KT`` kT that the curves reach may give this part of the
rate: more, and levels that the curves do not reach would count, too."""


@dataclass(frozen=True, eq=False)
class CaptureCurves:
    """The two charge states along one path.

    Attributes:
        Q_amu05_A: generalised coordinate, amu^(1/2) A, (n,), ascending.
        initial_eV: curve of the defect before capture, 0 at its ground state, (n,), eV.
        final_eV: curve of the defect after it, 0 at its own ground state, (n,), eV.
        origin_amu05_A: coordinate of the geometry that the coupling was computed at.
        released_eV: energy that capture sets free between the two ground states, eV: what the level is
            below the conduction band (electrons) or above the valence band (holes).
    """

    Q_amu05_A: Floats
    initial_eV: Floats
    final_eV: Floats
    origin_amu05_A: float
    released_eV: float


def capture_coefficient_cm3_s(
    curves: CaptureCurves,
    coupling_eV_amu05_A: float,
    volume_A3: float,
    degeneracy: int,
    temperatures_K: Floats,
) -> Floats:
    """C = (2 pi / hbar) g W^2 V sum_m w_m sum_n |<m|Q - Q_0|n>|^2 delta(E_m + released - E_n), (k,), cm^3/s.

    The delta function is spread over the spacing of the final levels: the squared elements, as a density
    over their energies, are interpolated at the energy that is conserved.

    Args:
        curves: the two charge states.
        coupling_eV_amu05_A: electron-phonon matrix element W, eV/(amu^(1/2) A).
        volume_A3: volume of the supercell that W belongs to, A^3.
        degeneracy: number g of equivalent final states.
        temperatures_K: temperatures, (k,), K.

    Raises:
        ThermoError: if the curves end below the levels that take part, or the energy released lies below
            the final levels.
    """
    shifted = curves.final_eV - curves.released_eV
    kT = KB_EV_K * np.asarray(temperatures_K, float)[:, None]
    barrier_eV = max(lowest_crossing_eV(curves.Q_amu05_A, curves.initial_eV, shifted) or 0.0, 0.0)
    ends_eV = min(c[end] for c in (curves.initial_eV, shifted) for end in (0, -1))
    ceiling_eV = float(min(ends_eV, barrier_eV + max(REACH_KT * kT.max(), LEAST_REACH_EV)))
    initial = vibrational_levels(curves.Q_amu05_A, curves.initial_eV, ceiling_eV)
    final = vibrational_levels(curves.Q_amu05_A, shifted, ceiling_eV)
    usable = _usable(initial, final, curves)
    elements = initial.elements(final, curves.origin_amu05_A)[usable] ** 2
    spectrum = np.array(
        [
            PchipInterpolator(final.energies_eV[1:-1], row[1:-1] / _spacings(final))(energy)
            for row, energy in zip(elements, initial.energies_eV[usable], strict=True)
        ]
    )
    energies = initial.energies_eV
    weights = np.exp(-(energies - energies[0]) / kT)
    terms = (weights / weights.sum(axis=1, keepdims=True))[:, usable] * spectrum
    top = energies[usable] > energies[usable][-1] - TOP_KT * kT
    share = np.where(top, terms, 0.0).sum(axis=1) / terms.sum(axis=1)
    if share.max() > TOP_SHARE:
        raise ThermoError(
            "capture along the path",
            f"{share.max():.0%} of the rate comes from the highest levels that the curves reach, "
            f"{ceiling_eV:.2f} eV above the initial ground state",
            "Raise ccd.extend, so that both curves run further up",
        )
    rate = 2 * np.pi / HBAR_EV_S * degeneracy * coupling_eV_amu05_A**2 * terms.sum(axis=1)
    return np.asarray(rate * volume_A3 * CM3_PER_A3)


def lowest_crossing_eV(Q_amu05_A: Floats, first_eV: Floats, second_eV: Floats) -> float | None:
    """Energy of the lowest crossing of the cubic splines through two curves, (n,) each, eV; None without one.

    With the first curve zero at its minimum this is the classical barrier of capture.
    """
    roots = np.asarray(CubicSpline(Q_amu05_A, first_eV - second_eV).roots(extrapolate=False))
    roots = roots[np.isfinite(roots)]
    if not len(roots):
        return None
    return float(CubicSpline(Q_amu05_A, first_eV)(roots).min())


def sommerfeld_factor(charge_ratio: int, mass: float, dielectric_constant: float, temperatures_K: Floats) -> Floats:
    """By how much a charged defect draws carriers near or keeps them away, (k,).

    The Coulomb enhancement of a plane wave at the defect, averaged over a Maxwell distribution: R. Paessler,
    phys. stat. sol. (b) 78, 625 (1976).

    Args:
        charge_ratio: charge of the defect before capture over that of the carrier; negative attracts.
        mass: effective mass of the carrier, electron masses.
        dielectric_constant: static dielectric constant.
        temperatures_K: temperatures, (k,), K.
    """
    temperatures = np.asarray(temperatures_K, float)
    if charge_ratio == 0:
        return np.ones(len(temperatures))
    # x = hbar k / sqrt(2 m kT); the weight of a Maxwell distribution is x^2 exp(-x^2).
    x = np.linspace(1e-4, 6.0, 20001)
    fine_structure = constants.e**2 / (4 * np.pi * constants.epsilon_0 * constants.hbar)
    speed = np.sqrt(2 * constants.k * temperatures / (mass * constants.m_e))[:, None]
    exponent = 2 * np.pi * charge_ratio * fine_structure / (dielectric_constant * speed * x)
    enhancement = exponent / np.expm1(np.minimum(exponent, 700.0))
    weight = x**2 * np.exp(-(x**2))
    return np.asarray((enhancement * weight).sum(axis=1) / weight.sum())


def _spacings(levels: VibrationalLevels) -> Floats:
    """Energy that each level but the first and the last stands for, eV."""
    return np.asarray((levels.energies_eV[2:] - levels.energies_eV[:-2]) / 2)


def _usable(initial: VibrationalLevels, final: VibrationalLevels, curves: CaptureCurves) -> np.ndarray:
    """Which initial levels lie between the second final level and the second but last."""
    if len(final.energies_eV) < 4 or not len(initial.energies_eV):
        raise ThermoError(
            "capture along the path",
            f"{len(initial.energies_eV)} and {len(final.energies_eV)} vibrational levels below the curves' ends",
            "Raise ccd.extend, so that both curves run further up",
        )
    if initial.energies_eV[0] < final.energies_eV[1]:
        raise ThermoError(
            "energy released by capture",
            f"{curves.released_eV:.3f} eV, less than one quantum",
            "Multiphonon emission does not describe this level; drop it from ccd.capture",
        )
    usable = initial.energies_eV < final.energies_eV[-2]
    return np.asarray(usable)
