"""Electrons that a defect misses, or has in excess, against the ions of its host."""

from collections.abc import Mapping
from functools import lru_cache

from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element

from defectscape.domain.site import DefectSite, HostCrystal


def missing_electrons(host: HostCrystal, site: DefectSite, charge: int) -> int:
    """Holes (positive) or electrons (negative) that a charge state has to place, by the host's oxidation states.

    ``v_Cd`` of CdTe has none in -2 and two holes in 0; ``v_Te`` has none in +2 and two electrons in 0.
    """
    states = oxidation_states(host.formula)

    def state(symbol: str | None) -> int:
        if symbol is None:
            return 0
        return states[symbol] if symbol in states else _commonest_state(symbol)

    return state(site.removed) - state(site.added) + charge


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
