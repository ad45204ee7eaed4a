"""Electrons that a defect misses, or has in excess, against the ions of its host."""

from collections.abc import Mapping
from functools import lru_cache

from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element

from defectscape.domain.site import DefectSite, HostCrystal

ANION_FORMER = 2.5
"""Pauling electronegativity above which an element rather takes electrons: C, N, O, S, Se, halogens."""


def missing_electrons(host: HostCrystal, site: DefectSite, charge: int) -> int:
    """Holes (positive) or electrons (negative) that a charge state has to place, by the host's oxidation states.

    ``v_Cd`` of CdTe has none in -2 and two holes in 0; ``v_Te`` has none in +2 and two electrons in 0. A dopant has
    the common oxidation state nearest to that of the ion it replaces: ``Cl_Te`` has none in +1, and an electron in 0.
    In an element, which has bonds, it has the electrons of its group: ``P_Si`` has none in +1, and one in 0.
    """
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
    return removed - added + charge


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
