"""Binding energies of pairs.

E_b(q) = E_f(pair, q) - min over q1 + q2 = q of [E_f(A, q1) + E_f(B, q2)]

Negative where the pair is bound. The charges add up, and so do the atoms: neither the Fermi level nor the chemical
potentials enter. The isolated partners are as far apart as the energies of single supercells can say.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from defectscape.domain.energies import FormationEnergy
from defectscape.domain.keys import DefectKey, format_charge
from defectscape.domain.site import DefectSite


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
