"""Electrons against the ions of a host: how many a defect misses; crystals and dopants with open d or f shells.

With open shells the lowest spin is a guess. Elements without d or f electrons to spare pair their electrons, so the
lowest multiplicity is theirs. The ions of transition metals, lanthanides and actinides have moments unless their d or
f shell is empty or full. Charge balance tells: Ti4+ (d0), Cu+ and Ag+ (d10), Ce4+ (f0) are closed; Ni2+ (d8), Cu2+
(d9), Ti3+ (d1) are open. Zn, Cd and Hg keep their d10. Low-spin ions (Fe2+ of pyrite, Mo4+ of MoS2) are closed by
their crystal field, which charge balance cannot tell: the study states it.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from ase.data import atomic_numbers, chemical_symbols
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element

from defectscape.domain.errors import HostError
from defectscape.domain.frame import Ints, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import DefectSite, HostCrystal, PointSite
from defectscape.domain.spelling import point_names

ANION_FORMER = 2.5
"""Pauling electronegativity above which an element rather takes electrons: C, N, O, S, Se, halogens."""


def missing_electrons(host: HostCrystal, site: DefectSite, charge: int) -> int:
    """Holes (positive) or electrons (negative) that a charge state has to place, by the host's oxidation states.

    ``v_Cd`` of CdTe has none in -2 and two holes in 0; ``v_Te`` has none in +2 and two electrons in 0. A dopant has
    the common oxidation state nearest to that of the ion it replaces: ``Cl_Te`` has none in +1, and an electron in 0.
    In an element, which has bonds, it has the electrons of its group: ``P_Si`` has none in +1, and one in 0.
    The partners of a pair share them: ``v_Cd+Cl_Te`` has none in -1, and a hole in 0.
    """
    return charge + sum(_missing_of_ion(host, point) for point in site.points)


def _missing_of_ion(host: HostCrystal, site: PointSite) -> int:
    """Those of one point defect in charge 0."""
    states = oxidation_states(host.formula)
    own = {Element.from_Z(int(number)).symbol for number in set(host.numbers.tolist())}

    def state(symbol: str | None) -> int:
        if symbol is None:
            return 0
        return states[symbol] if symbol in states else _commonest_state(symbol)

    removed = state(site.removed)
    if site.added is None or site.added in own:
        added = state(site.added)
    elif is_element(host) and site.removed is not None:
        added = removed + _outer_electrons(site.added) - _outer_electrons(site.removed)
    else:
        added = _nearest_state(site.added, removed)
    return removed - added


@lru_cache
def oxidation_states(formula: str) -> Mapping[str, int]:
    """Rounded mean oxidation states of the elements of a compound; empty where none balances."""
    guesses = Composition(formula).oxi_state_guesses()
    return {symbol: round(value) for symbol, value in guesses[0].items()} if guesses else {}


def is_element(host: HostCrystal) -> bool:
    """Whether the host is of one element, which has bonds and no ions."""
    return len(set(host.numbers.tolist())) == 1


def _commonest_state(symbol: str) -> int:
    common = Element(symbol).common_oxidation_states
    return int(common[-1]) if common else 0


def _nearest_state(symbol: str, target: int) -> int:
    """The element's common oxidation state that is nearest to another; of two, the one of its nature."""
    element = Element(symbol)
    sign = -1 if element.X > ANION_FORMER else 1
    return int(min(element.common_oxidation_states, key=lambda state: (abs(state - target), -sign * state), default=0))


def _outer_electrons(symbol: str) -> int:
    """Electrons outside of closed shells, by the group: 4 of Si, 5 of P, 3 of B, 2 of Zn, 1 of Cu."""
    group = int(Element(symbol).group)
    return group - 10 if group > 10 else group


FULL = {"d": 10, "f": 14}
OPEN_DOPANTS = frozenset(
    chemical_symbols[z] for z in (*range(22, 29), *range(41, 47), *range(73, 79), *range(58, 71), *range(91, 103))
)
"""Atoms with a common ion of an open shell (Ti to Ni, Nb to Pd, Ta to Pt, Ce to Yb, Pa to No); added to a host,
their charge is not known beforehand. Sc, Y, La, Lu, Zr, Hf, Cu, Ag, Au, Zn, Cd and Hg are absent: their common
ions are closed (d0, d10, f0, f14)."""


def open_shell_ions(numbers: Ints) -> tuple[str, ...]:
    """Ions of a compound that have open d or f shells, in words: ``Ni2+ (d8)``.

    An element whose charge the composition does not tell (an alloy, mixed valence) counts as open.

    Args:
        numbers: atomic numbers of all atoms, (n,).
    """
    counts = {Element.from_Z(int(n)): int((numbers == n).sum()) for n in sorted(set(numbers.tolist()))}
    doubtful = [element for element in counts if _has_open_shells(element)]
    if not doubtful:
        return ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guesses = Composition(counts).reduced_composition.oxi_state_guesses()
    found = []
    for element in doubtful:
        charge = guesses[0].get(element.symbol) if guesses else None
        if charge is None:
            found.append(f"{element.symbol} (of unknown charge)")
            continue
        shell, electrons = _shell(element, charge)
        if not (abs(electrons) < 1e-6 or abs(electrons - FULL[shell]) < 1e-6):
            found.append(f"{element.symbol}{charge:g}+ ({shell}{electrons:g})")
    return tuple(found)


def _has_open_shells(element: Element) -> bool:
    """Whether any ion of the element might have an open d or f shell."""
    return (element.is_transition_metal and element.group != 12) or element.is_lanthanoid or element.is_actinoid


def _shell(element: Element, charge: float) -> tuple[str, float]:
    """The shell that an ion of this charge leaves open or closed, and its electrons."""
    if element.is_lanthanoid:
        return "f", element.Z - 54 - charge
    if element.is_actinoid:
        return "f", element.Z - 86 - charge
    return "d", element.group - charge


def check_host_spin(host: HostCrystal, multiplicity: int | None, added: Iterable[str] = ()) -> None:
    """Refuse a host, or an atom added to it, whose spin nobody knows.

    Args:
        host: the crystal.
        multiplicity: what the study states of it, or None.
        added: symbols of the atoms that the study's defects put in.

    Raises:
        HostError: if an ion of the host or an added atom has an open shell and the study states no
            multiplicity, or states one that the supercell's electrons cannot have.
    """
    lowest = lowest_multiplicity(host.numbers, 0)
    if multiplicity is not None:
        if (multiplicity - lowest) % 2:
            number, other = ("an odd", "an even") if lowest > 1 else ("an even", "an odd")
            raise HostError(
                "host.multiplicity",
                f"{multiplicity}, but the supercell has {number} number of electrons",
                f"Double the supercell, or give {other} one: unpaired electrons of a ferromagnet plus one",
            )
        return
    ions = open_shell_ions(host.numbers)
    dopants = sorted(set(added) & OPEN_DOPANTS)
    if ions or dopants:
        what = ", ".join([*ions, *(f"added {dopant}" for dopant in dopants)])
        raise HostError(
            f"spin of {host.formula}",
            f"open shells: {what}; they would be computed as if all electrons were paired",
            "State host.multiplicity: 1 if they are paired (low spin, closed shells), or the unpaired electrons of a "
            "ferromagnetic supercell plus one; other magnetic order is not computed",
        )


def spin_warning(
    host: HostCrystal, sites: Sequence[DefectSite], keys: Iterable[DefectKey], *, checked: bool, told: bool
) -> str | None:
    """Charge states for which the lowest multiplicity is a guess, in words, or nothing.

    One electron or hole has one spin. Two or more may be parallel: on the metal ions of an oxide (an oxygen
    vacancy of TiO2), on several neighbours (a zinc vacancy of ZnO), or in broken bonds of an element.

    Args:
        host: the crystal.
        sites: its defects.
        keys: what is computed, less the states whose multiplicity is stated.
        checked: whether the next multiplicity is computed at each ground state.
        told: whether the deciding engine tells spins apart.
    """
    by_name = {site.name: site for site in sites}
    doubtful = [key for key in keys if key.defect in by_name and may_be_parallel(host, by_name[key.defect], key)]
    if not doubtful:
        return None
    tried = "and no other is tried"
    if checked:
        tried = "and the next one is tried at the geometry of the ground state alone"
    elif not told:
        tried = "and no other is tried, since the high-fidelity engine does not tell spins apart"
    return (
        f"{', '.join(map(str, doubtful))}: the lowest spin multiplicity is taken, {tried}; "
        "two or more electrons or holes of a defect may be parallel (triplet, quartet) and then lie lower"
    )


def untold_spins(stated: Iterable[DefectKey], method: str) -> str:
    """That stated multiplicities are computed by a method that does not tell spins apart, in words."""
    return (
        f"{', '.join(map(str, stated))}: a spin multiplicity is stated, but {method} does not tell spins apart: "
        "parallel electrons cost the energy of the levels that they fill, and gain none"
    )


def mixed_spins(
    host: HostCrystal, sites: Sequence[DefectSite], keys: Iterable[DefectKey], stated: Mapping[DefectKey, int]
) -> tuple[str, ...]:
    """States of the same atoms and charge, in different spins, in words: one model learns all, and knows no spin.

    Args:
        host: the crystal.
        sites: its defects.
        keys: what is computed.
        stated: multiplicities that the study states.
    """
    by_name = {site.name: site for site in sites}
    spins: dict[tuple[tuple[tuple[str, int], ...], int], dict[DefectKey, int]] = {}
    for key in keys:
        changes = tuple(by_name[key.defect].changes.items())
        electrons = int(host.numbers.sum()) - key.charge
        electrons += sum(change * atomic_numbers[symbol] for symbol, change in changes)
        spins.setdefault((changes, key.charge), {})[key] = stated.get(key, 1 + electrons % 2)
    return tuple(
        f"{', '.join(f'{key} (multiplicity {spin})' for key, spin in mine.items())}: the same atoms and charge in "
        "different spins; the final model knows the charge and not the spin, and is wrong where their structures meet"
        for mine in spins.values()
        if len(set(mine.values())) > 1
    )


def may_be_parallel(host: HostCrystal, site: DefectSite, key: DefectKey) -> bool:
    """Two or more electrons or holes; an element has broken bonds, and no ions to count by, but for a substitution."""
    broken = is_element(host) and any(point.kind != "substitution" for point in site.points)
    return broken or abs(missing_electrons(host, site, key.charge)) > 1


def added_atoms(names: Iterable[str]) -> tuple[str, ...]:
    """Symbols of the atoms that defects of these names put in: ``Te`` of ``Te_Cd``, ``Cd`` of ``i_Cd_1``."""
    parts = [name.split("_") for name in point_names(names)]
    return tuple(dict.fromkeys(words[1] if words[0] == "i" else words[0] for words in parts if words[0] != "v"))


def removed_atoms(names: Iterable[str]) -> tuple[str, ...]:
    """Symbols of the atoms that defects of these names take out: ``Cd`` of ``Te_Cd`` and of ``v_Cd_1``."""
    parts = [name.split("_") for name in point_names(names)]
    return tuple(dict.fromkeys(words[1] for words in parts if words[0] != "i"))
