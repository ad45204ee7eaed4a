"""Formation energies of charge states from raw supercell energies, and binding energies of pairs.

E_f(q) = E(q) + E_corr(q) - E_bulk - sum_i n_i mu_i + q (E_VBM + E_F)

with n_i the atoms of element i put in (negative: taken out). The energies here are at E_F = 0,
the VBM. Source: S. B. Zhang and J. E. Northrup, Phys. Rev. Lett. 67, 2339 (1991).

E_b(q) = E_f(pair, q) - min over q1 + q2 = q of [E_f(A, q1) + E_f(B, q2)]

Negative where the pair is bound. The charges add up, and so do the atoms: neither the Fermi level nor the chemical
potentials enter.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from defectscape.domain.cell import same_cell
from defectscape.domain.energies import (
    ChemicalPotentialLimit,
    FiniteSizeCorrection,
    FormationEnergy,
    HostEnergies,
    StateEnergy,
)
from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import DefectKey, format_charge
from defectscape.domain.site import DefectSite, HostCrystal
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


@dataclass(frozen=True)
class BindingEnergy:
    """A pair in one charge state against its partners apart.

    Attributes:
        key: the pair.
        energy_eV: binding energy, negative where it is bound, eV; None where the study lacks partners.
        uncertainty_eV: one standard deviation, those of the three energies in quadrature, eV.
        partners: the charge states of the partners that are lowest together.
        verified: whether all three energies are the engine's own.
        reason: why there is none; empty where there is.
    """

    key: DefectKey
    energy_eV: float | None
    uncertainty_eV: float | None
    partners: tuple[DefectKey, ...]
    verified: bool
    reason: str


def binding_energies(formation: Sequence[FormationEnergy], sites: Sequence[DefectSite]) -> tuple[BindingEnergy, ...]:
    """Binding energies of all pairs, in the order of their formation energies.

    Args:
        formation: formation energies in one limit, of pairs and of what else the study has.
        sites: the site table.
    """
    pairs = {site.name: site for site in sites if site.partners}
    by_key = {energy.key: energy for energy in formation}
    return tuple(
        _binding(energy, pairs[energy.key.defect], by_key) for energy in formation if energy.key.defect in pairs
    )


def _binding(pair: FormationEnergy, site: DefectSite, by_key: Mapping[DefectKey, FormationEnergy]) -> BindingEnergy:
    names = [point.name for point in site.partners]
    states = [[energy for key, energy in by_key.items() if key.defect == name] for name in names]
    missing = [name for name in dict.fromkeys(names) if not any(key.defect == name for key in by_key)]
    if missing:
        return BindingEnergy(pair.key, None, None, (), False, f"the study has no energy of {' and '.join(missing)}")
    apart = [(one, other) for one, other in product(*states) if one.charge + other.charge == pair.charge]
    if not apart:
        text = f"no charges of {' and '.join(names)} in the study add up to {format_charge(pair.charge)}"
        return BindingEnergy(pair.key, None, None, (), False, text)
    one, other = min(apart, key=lambda both: both[0].energy_eV + both[1].energy_eV)
    return BindingEnergy(
        pair.key,
        pair.energy_eV - one.energy_eV - other.energy_eV,
        math.sqrt(sum(energy.uncertainty_eV**2 for energy in (pair, one, other))),
        (one.key, other.key),
        pair.verified and one.verified and other.verified,
        "",
    )
