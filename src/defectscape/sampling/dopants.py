"""Elements that a study's defects add to a host that lacks them."""

from collections.abc import Iterable, Mapping

from ase.data import chemical_symbols

from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Ints
from defectscape.sampling.electrons import added_atoms


def dopants(numbers: Ints, names: Iterable[str]) -> tuple[str, ...]:
    """Symbols of the foreign elements, in alphabetical order.

    Args:
        numbers: atomic numbers of the host's atoms, (n,).
        names: our names of the study's defects; a name without a chemical symbol adds none.
    """
    own = {chemical_symbols[int(number)] for number in set(numbers.tolist())}
    return tuple(sorted({symbol for symbol in added_atoms(names) if symbol in chemical_symbols[1:]} - own))


def check_dopants(numbers: Ints, symbols: Iterable[str]) -> None:
    """Refuse what is no element that the host lacks.

    Args:
        numbers: atomic numbers of the host's atoms, (n,).
        symbols: what is to dope it.

    Raises:
        DefectError: naming the first of them.
    """
    own = {chemical_symbols[int(number)] for number in set(numbers.tolist())}
    for symbol in symbols:
        if symbol not in chemical_symbols[1:]:
            raise DefectError("dopant", repr(symbol), "Give chemical symbols with commas between them, as Cl,Cu")
        if symbol in own:
            remedy = "Leave it out: defects of the host's own elements are proposed anyway"
            raise DefectError("dopant", f"{symbol} is an element of the host", remedy)


def adding(names: Iterable[str], element: str) -> str:
    """The first of the defects that adds the element."""
    return next(name for name in names if element in added_atoms([name]))


def unbounded_dopants(elements: Iterable[str], phases: Iterable[Mapping[str, int]]) -> tuple[str, ...]:
    """Dopants that no competing phase holds: their potential is bounded by their own element alone.

    Args:
        elements: symbols of the dopants.
        phases: atoms per element of each competing phase.
    """
    held = {element for atoms in phases if len(atoms) > 1 for element in atoms}
    return tuple(element for element in elements if element not in held)


def unbounded_line(elements: Iterable[str]) -> str | None:
    """What is to be said of dopants that no competing phase holds, or nothing."""
    words = ", ".join(elements)
    if not words:
        return None
    return (
        f"no competing phase holds {words}: the solubility limit is then that of the element, which is far too high "
        "where a compound with the host's elements is stable; give such compounds as thermo.competing_phases"
    )
