"""Charge-transition levels, and states that are suspected to be the host's.

Formation energies are straight lines against the Fermi level, with the charge as slope. The
thermodynamic levels are the corners of the lower envelope of a defect's lines; levels between
neighbouring charges off the envelope are one-electron levels of metastable states.

Charge may sit in the host's bands, not at the defect. In a supercell such a state has an energy like any
other, but the defect is not in the charge state that its name says; its level is that of a band edge with a
finite-size error. Eigenvalues of supercells with different charges share no exact zero, so this raises a
suspicion, no verdict. See Kumagai et al., Phys. Rev. Materials 5, 123803 (2021).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from defectscape.domain.energies import FormationEnergy, TransitionLevel
from defectscape.domain.envelope import crossing_eV, lowest_lines
from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label

TOLERANCE_EV = 0.1
"""How near to a band edge a level must be to be suspected, eV."""


def level_uncertainty_eV(upper: FormationEnergy, lower: FormationEnergy) -> float:
    """One standard deviation of the level between two charge states, eV.

    The two uncertainties are independent, but for the spread of a committee that gave both energies: there
    the difference is taken within each member first.
    """
    spread_eV = None
    if upper.members is not None and lower.members is not None:
        spread_eV = upper.members.difference_std_eV(lower.members)
    if spread_eV is None:
        total_eV = math.hypot(upper.uncertainty_eV, lower.uncertainty_eV)
    else:
        total_eV = math.hypot(spread_eV, _beside_members_eV(upper), _beside_members_eV(lower))
    return total_eV / abs(upper.charge - lower.charge)


def _beside_members_eV(state: FormationEnergy) -> float:
    """What the uncertainty holds beside the committee's spread: model error and correction, eV."""
    spread_eV = state.members.std_eV if state.members else 0.0
    return math.sqrt(max(state.uncertainty_eV**2 - spread_eV**2, 0.0))


def transition_levels(energies: Sequence[FormationEnergy], gap_eV: float) -> tuple[TransitionLevel, ...]:
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
        hull = list(pairwise(lowest_lines(states)))
        taken = {(upper.key, lower.key) for upper, lower in hull}
        metastable = [
            (upper, lower)
            for upper, lower in pairwise(states)
            if upper.charge - lower.charge == 1 and (upper.key, lower.key) not in taken
        ]
        pairs = [(pair, True) for pair in hull] + [(pair, False) for pair in metastable]
        pairs.sort(key=lambda item: (-item[0][0].charge, -item[0][1].charge))
        levels.extend(_level(*pair, stable, gap_eV) for pair, stable in pairs)
    return tuple(levels)


def _level(upper: FormationEnergy, lower: FormationEnergy, stable: bool, gap_eV: float) -> TransitionLevel:
    value = crossing_eV(upper, lower)
    return TransitionLevel(
        defect=upper.key.defect,
        upper=upper.charge,
        lower=lower.charge,
        level_eV=value,
        uncertainty_eV=level_uncertainty_eV(upper, lower),
        stable=stable,
        in_gap=0.0 < value < gap_eV,
    )


def _by_charge(energies: Sequence[FormationEnergy]) -> list[FormationEnergy]:
    return sorted(energies, key=lambda state: -state.charge)


def _by_defect(energies: Sequence[FormationEnergy]) -> dict[str, list[FormationEnergy]]:
    limits = sorted({state.limit for state in energies})
    if len(limits) > 1:
        raise ThermoError("formation energies", ", ".join(limits), "Ask for the levels of one limit at a time")
    groups: dict[str, dict[int, FormationEnergy]] = {}
    for state in energies:
        group = groups.setdefault(state.key.defect, {})
        if state.charge in group:
            raise ThermoError("formation energies", f"{state.key} twice", "Pass the ground state of each key only")
        group[state.charge] = state
    return {defect: _by_charge(list(group.values())) for defect, group in groups.items()}


def host_state_suspicion(key: DefectKey, label: Label, vbm_eV: float, cbm_eV: float) -> str | None:
    """Why the state may be one of the host's, or None.

    Args:
        key: defect and charge.
        label: the engine's label of its ground state, with the defect cell's band edges.
        vbm_eV, cbm_eV: band edges of the perfect supercell from the same engine, eV.
    """
    if label.vbm_eV is not None and label.vbm_eV > cbm_eV - TOLERANCE_EV:
        return (
            f"{key}: its highest filled level lies {label.vbm_eV - cbm_eV:+.2f} eV from the host's "
            "conduction band; an electron may sit in the host, not at the defect."
        )
    if label.cbm_eV is not None and label.cbm_eV < vbm_eV + TOLERANCE_EV:
        return (
            f"{key}: its lowest empty level lies {label.cbm_eV - vbm_eV:+.2f} eV from the host's "
            "valence band; a hole may sit in the host, not at the defect."
        )
    return None
