"""Charge states that are proposed, mostly by doped, for the host's defects, and why.

doped takes a vacancy from the charge of its missing ion to one beyond neutral, and weighs those of antisites and
interstitials by how common the oxidation states of the added atom are, and by how large the charge is (Kavanagh
et al., J. Open Source Softw. 9, 6433 (2024)). In an element, which has bonds and no ions, oxidation states say little
of a substitution: it is taken by the electrons of its group, as ``P_Si``, which has one more than it binds with.
A pair is taken from the sum of its partners' ions to one beyond neutral.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.core.sites import PeriodicSite
from pymatgen.core.structure import Structure

from defectscape.domain.keys import format_charge
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files.quiet import quiet
from defectscape.files.structures import to_structure
from defectscape.sampling.electrons import is_element, missing_electrons
from defectscape.settings.base import MAX_CHARGE


@dataclass(frozen=True)
class ChargeProposal:
    """Charge states of one defect.

    Attributes:
        site: the defect.
        charges: proposed charge states, units of e, the highest first.
        reason: why these, in words.
    """

    site: DefectSite
    charges: tuple[int, ...]
    reason: str


def propose_charges(host: HostCrystal, sites: Sequence[DefectSite]) -> tuple[ChargeProposal, ...]:
    """Charge states of every site, in their order: doped's, but for substitutions in an element.

    Args:
        host: the crystal.
        sites: its defects; the partners of a pair are among them.
    """
    with quiet("doped"):
        from doped.core import guess_and_set_oxi_states_with_timeout

        unit = guess_and_set_oxi_states_with_timeout(
            to_structure(host.unit_numbers, host.unit_positions_A, host.unit_cell_A)
        )
    if not isinstance(unit, Structure):
        why = f"the oxidation states of {host.formula} do not balance: those around zero, as doped does"
        return tuple(ChargeProposal(site, (1, 0, -1), why) for site in sites)
    points = {site.name: _propose(host, unit, site) for site in sites if not site.partners}
    return tuple(_of_pair(host, site, points) if site.partners else points[site.name] for site in sites)


def _of_pair(host: HostCrystal, pair: DefectSite, points: Mapping[str, ChargeProposal]) -> ChargeProposal:
    """From both partners ionised to one beyond neutral, as far as charges proposed for the partners add up to it.

    All sums of the partners' charges would be up to seven states, of which most leave the partners with electrons and
    holes that would meet.
    """
    ionised = -missing_electrons(host, pair, 0)
    ends = (ionised, -1 if ionised > 0 else 1) if ionised else (1, -1)
    first, second = (points[point.name].charges for point in pair.partners)
    low = max(min(ends), min(first) + min(second), -MAX_CHARGE)
    high = min(max(ends), max(first) + max(second), MAX_CHARGE)
    charges = tuple(range(high, low - 1, -1)) or (0,)
    reason = f"its partners' ions add up to {format_charge(ionised)}: from that to one beyond neutral"
    return ChargeProposal(pair, charges, reason)


def _propose(host: HostCrystal, unit: Structure, site: DefectSite) -> ChargeProposal:
    if site.kind == "substitution" and is_element(host):
        return _by_electrons(host, site)
    fracs = np.asarray(site.frac_coords) @ host.cell_A @ np.linalg.inv(host.unit_cell_A) % 1.0
    place = PeriodicSite(site.added or site.removed or "", fracs, unit.lattice)
    state = 0
    if site.removed is not None:
        own = min(unit, key=place.distance)
        state = round(float(own.specie.oxi_state or 0.0))
        place = PeriodicSite(site.added or own.specie, own.frac_coords, unit.lattice)
    with quiet("doped"):
        from doped.core import Interstitial, Substitution, Vacancy
        from doped.generation import guess_defect_charge_states

        kinds: dict[str, Any] = {"vacancy": Vacancy, "substitution": Substitution, "interstitial": Interstitial}
        guessed: Any = guess_defect_charge_states(kinds[site.kind](unit, place), return_log=True)
    found, why = guessed
    charges = sorted((int(q) for q in found if abs(q) <= MAX_CHARGE), reverse=True)
    return ChargeProposal(site, tuple(charges), _reason(site, state, why))


def _by_electrons(host: HostCrystal, site: DefectSite) -> ChargeProposal:
    """From the ion that has as many electrons as the atom that it replaces to one beyond neutral, as for a vacancy."""
    ionised = -missing_electrons(host, site, 0)
    sign = 1 if ionised > 0 else -1
    ends = (ionised, -sign) if ionised else (1, -1)
    charges = tuple(range(min(max(ends), MAX_CHARGE), max(min(ends), -MAX_CHARGE) - 1, -1))
    if not ionised:
        return ChargeProposal(site, charges, f"{site.added} has as many outer electrons as {site.removed}")
    kind = f"{abs(ionised)} {'more' if ionised > 0 else 'fewer'}"
    reason = f"{site.added} has {kind} outer electrons than {site.removed}: from ionised to one beyond neutral"
    return ChargeProposal(site, charges, reason)


def _reason(site: DefectSite, state: int, why: Sequence[Mapping[str, Any]]) -> str:
    """Why doped takes these, in a few words."""
    if site.added is None and state == 0:
        return f"{site.removed} is neutral in the host: as many electrons as that, one more, and one fewer"
    if site.added is None:
        return f"{site.removed} is {state:+d} in the host: from its ionised vacancy to one beyond neutral"
    likely = {}
    for entry in why:
        given, threshold = entry["input_parameters"], entry.get("probability_threshold", 0.0)
        if entry["probability"] > threshold and "oxi_state" in given:
            likely[int(given["charge_state"])] = (int(given["oxi_state"]), float(entry["probability"]))
    if site.removed is None:
        listed = ", ".join(f"{likely[q][0]:+d}" for q in sorted(likely, reverse=True))
        return f"oxidation states of {site.added}: {listed or 'none'}, and those between"
    where = f"on {site.removed} {state:+d}"
    states = ", ".join(f"{likely[q][0]:+d} gives {format_charge(q)}" for q in sorted(likely, reverse=True))
    return f"oxidation states of {site.added} {where}: {states}" if states else f"{site.added} {where}"
