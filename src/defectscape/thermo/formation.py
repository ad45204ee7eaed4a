"""Formation energies of charge states from raw supercell energies.

E_f(q) = E(q) + E_corr(q) - E_bulk - sum_i n_i mu_i + q (E_VBM + E_F)

with n_i the atoms of element i put in (negative: taken out). The energies here are at E_F = 0,
the VBM. Source: S. B. Zhang and J. E. Northrup, Phys. Rev. Lett. 67, 2339 (1991).
"""

import math
from collections.abc import Sequence

from defectscape.domain.cell import same_cell
from defectscape.domain.energies import (
    ChemicalPotentialLimit,
    FiniteSizeCorrection,
    FormationEnergy,
    HostEnergies,
    StateEnergy,
)
from defectscape.domain.errors import ThermoError
from defectscape.domain.site import HostCrystal
from defectscape.thermo.chempots import composition


def exchanged_atoms(state: StateEnergy, host: HostCrystal) -> dict[str, int]:
    """Atoms per element that the defect has more (negative: fewer) than the host supercell.

    Raises:
        ThermoError: if the frame lies in another cell than the host.
    """
    if not same_cell(state.frame.cell_A, host.cell_A):
        raise ThermoError(
            f"supercell of {state.key}",
            state.frame.cell_A.round(4).tolist(),
            f"Formation energies need the host's own cell, {host.cell_A.round(4).tolist()}",
        )
    defect, bulk = composition(state.frame.numbers), composition(host.numbers)
    changes = {el: defect.get(el, 0) - bulk.get(el, 0) for el in sorted({*defect, *bulk})}
    return {element: change for element, change in changes.items() if change}


def formation_energies(
    states: Sequence[StateEnergy],
    host: HostCrystal,
    energies: HostEnergies,
    limits: Sequence[ChemicalPotentialLimit],
    corrections: Sequence[FiniteSizeCorrection],
) -> tuple[FormationEnergy, ...]:
    """Formation energies of all states at E_F = VBM: limit by limit, states in the given order.

    Args:
        states, host, energies, limits: what they are made of.
        corrections: the finite-size correction of each state.

    Raises:
        ThermoError: if a state has another cell, or an element without a chemical potential.
    """
    return tuple(
        _formation_energy(state, host, energies, limit, added)
        for limit in limits
        for state, added in zip(states, corrections, strict=True)
    )


def _formation_energy(
    state: StateEnergy,
    host: HostCrystal,
    energies: HostEnergies,
    limit: ChemicalPotentialLimit,
    correction: FiniteSizeCorrection,
) -> FormationEnergy:
    changes = exchanged_atoms(state, host)
    reservoir_eV = sum(change * limit.absolute_eV(el) for el, change in changes.items())
    shift_eV = correction.value_eV - energies.bulk_energy_eV - reservoir_eV + state.key.charge * energies.vbm_eV
    return FormationEnergy(
        key=state.key,
        limit=limit.name,
        energy_eV=state.energy_eV + shift_eV,
        uncertainty_eV=math.hypot(state.uncertainty_eV, correction.uncertainty_eV),
        verified=state.verified,
        correction_eV=correction.value_eV,
        correction_label=correction.label,
        members=state.members,
    )
