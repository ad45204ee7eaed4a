"""Charge-transition levels and the windows in which charge states are stable.

Formation energies are straight lines against the Fermi level, with the charge as slope. The
thermodynamic levels are the corners of the lower envelope of a defect's lines; levels between
neighbouring charges off the envelope are one-electron levels of metastable states.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from defectscape.domain.errors import ThermoError
from defectscape.domain.energies import FormationEnergy, StabilityWindow, TransitionLevel


def level_eV(upper: FormationEnergy, lower: FormationEnergy) -> float:
    """Fermi level above the VBM at which both have one formation energy, eV.

    (E_f(q1) - E_f(q2)) / (q2 - q1), with both energies at E_F = VBM.
    Source: C. Freysoldt et al., Rev. Mod. Phys. 86, 253 (2014), eq. 5.
    """
    return (upper.energy_eV - lower.energy_eV) / (lower.key.charge - upper.key.charge)


def level_uncertainty_eV(
    upper: FormationEnergy, lower: FormationEnergy
) -> tuple[float, Literal["members", "states"]]:
    """One standard deviation of the level, eV, and where it comes from.

    Committee members err alike in both charge states, so where both states carry one energy per
    member the difference is taken within each member first; otherwise the two are independent.
    """
    electrons = abs(upper.key.charge - lower.key.charge)
    first, second = upper.member_energies_eV, lower.member_energies_eV
    if first is not None and second is not None and len(first) == len(second) > 1:
        differences = np.subtract(first, second) / electrons
        return float(np.std(differences, ddof=1)), "members"
    return math.hypot(upper.uncertainty_eV, lower.uncertainty_eV) / electrons, "states"


def envelope(energies: Sequence[FormationEnergy]) -> tuple[FormationEnergy, ...]:
    """The states of one defect that are its ground state somewhere, from the highest charge down.

    Source: the lower convex hull of (charge, energy), by A. M. Andrew's monotone chain,
    Inf. Process. Lett. 9, 216 (1979).
    """
    hull: list[FormationEnergy] = []
    for state in _by_charge(energies):
        while len(hull) > 1 and level_eV(hull[-1], state) <= level_eV(hull[-2], hull[-1]):
            hull.pop()
        hull.append(state)
    return tuple(hull)


def transition_levels(
    energies: Sequence[FormationEnergy], gap_eV: float
) -> tuple[TransitionLevel, ...]:
    """All thermodynamic levels and all other one-electron levels, in one limit.

    Args:
        energies: formation energies of any number of defects in one chemical potential limit.
        gap_eV: band gap, eV.

    Returns:
        Sorted by defect (as given), then from the highest charge down.

    Raises:
        ThermoError: if two energies have one key, or they are of more than one limit.
    """
    levels: list[TransitionLevel] = []
    for states in _by_defect(energies).values():
        hull = list(pairwise(envelope(states)))
        taken = {(upper.key, lower.key) for upper, lower in hull}
        metastable = [
            (upper, lower)
            for upper, lower in pairwise(states)
            if upper.key.charge - lower.key.charge == 1 and (upper.key, lower.key) not in taken
        ]
        pairs = [(pair, True) for pair in hull] + [(pair, False) for pair in metastable]
        pairs.sort(key=lambda item: (-item[0][0].key.charge, -item[0][1].key.charge))
        levels.extend(_level(*pair, stable, gap_eV) for pair, stable in pairs)
    return tuple(levels)


def stability_windows(
    energies: Sequence[FormationEnergy], gap_eV: float
) -> tuple[StabilityWindow, ...]:
    """For every charge state, where in the gap it is the ground state, in one limit.

    Args and errors: as in ``transition_levels``.
    """
    windows: list[StabilityWindow] = []
    for states in _by_defect(energies).values():
        hull = envelope(states)
        corners = [-math.inf, *(level_eV(*pair) for pair in pairwise(hull)), math.inf]
        spans = {state.key: span for state, span in zip(hull, pairwise(corners), strict=True)}
        for state in states:
            low, high = spans.get(state.key, (math.inf, -math.inf))
            low, high = max(low, 0.0), min(high, gap_eV)
            inside = low < high
            windows.append(
                StabilityWindow(
                    key=state.key,
                    low_eV=low if inside else None,
                    high_eV=high if inside else None,
                    # the highest and the lowest charge are always on the envelope
                    negative_u=state.key not in spans,
                )
            )
    return tuple(windows)


def _level(
    upper: FormationEnergy, lower: FormationEnergy, stable: bool, gap_eV: float
) -> TransitionLevel:
    value = level_eV(upper, lower)
    uncertainty, source = level_uncertainty_eV(upper, lower)
    return TransitionLevel(
        defect=upper.key.defect,
        upper=upper.key.charge,
        lower=lower.key.charge,
        level_eV=value,
        uncertainty_eV=uncertainty,
        uncertainty_from=source,
        stable=stable,
        in_gap=0.0 < value < gap_eV,
    )


def _by_charge(energies: Sequence[FormationEnergy]) -> list[FormationEnergy]:
    return sorted(energies, key=lambda state: -state.key.charge)


def _by_defect(energies: Sequence[FormationEnergy]) -> dict[str, list[FormationEnergy]]:
    limits = sorted({state.limit for state in energies})
    if len(limits) > 1:
        raise ThermoError(
            "formation energies", ", ".join(limits), "Ask for the levels of one limit at a time"
        )
    groups: dict[str, dict[int, FormationEnergy]] = {}
    for state in energies:
        group = groups.setdefault(state.key.defect, {})
        if state.key.charge in group:
            raise ThermoError(
                "formation energies", f"{state.key} twice", "Pass the ground state of each key only"
            )
        group[state.key.charge] = state
    return {defect: _by_charge(list(group.values())) for defect, group in groups.items()}
