"""Chemical potential limits of the host against its elements and the competing phases that are given.

A compound in equilibrium with itself fixes one combination of the chemical potentials; the corners
of what is left are where other phases begin to form. Phases that are not given do not bound it. A dopant's
potential has no lower end; in each corner it is as high as its element and the phases that hold it allow: the
dopant is at its solubility limit there. Where two such phases take turns along an edge, that is a corner, too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ase.data import chemical_symbols

from defectscape.domain.energies import ChemicalPotentialLimit
from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Ints

EQUILIBRIUM_TOLERANCE_EV = 0.01
"""Given potentials and the host's formation energy may differ by this much per atom."""

ELEMENTAL_TOLERANCE_EV = 1e-3
"""An elemental host and its own reference phase may differ by this much per atom."""


def composition(numbers: Ints) -> dict[str, int]:
    """Atoms per element symbol, sorted by symbol, of atomic numbers (n,)."""
    counts = Counter(chemical_symbols[int(number)] for number in numbers)
    return dict(sorted(counts.items()))


def formation_energy_per_atom_eV(
    atoms: Mapping[str, int], energy_eV: float, references_eV: Mapping[str, float]
) -> float:
    """Energy of a crystal relative to its elements, eV per atom.

    Raises:
        ThermoError: if an element has no reference energy.
    """
    missing = [element for element in atoms if element not in references_eV]
    if missing:
        raise ThermoError(
            "thermo.elemental_references",
            f"nothing for {', '.join(missing)}",
            "Give a structure file of the reference phase of each element of the host",
        )
    elements_eV = sum(count * references_eV[element] for element, count in atoms.items())
    return (energy_eV - elements_eV) / sum(atoms.values())


@dataclass(frozen=True)
class Phase:
    """A competing phase.

    Attributes:
        name: what the study calls it.
        atoms: atoms per element in its cell.
        energy_eV: energy of that cell, same engine, eV.
    """

    name: str
    atoms: Mapping[str, int]
    energy_eV: float


def chemical_potential_limits(
    numbers: Ints,
    bulk_energy_eV: float,
    references_eV: Mapping[str, float],
    phases: Sequence[Phase] = (),
    dopants: Sequence[str] = (),
) -> tuple[ChemicalPotentialLimit, ...]:
    """The limits of the host between its elements and competing phases, sorted by name.

    Args:
        numbers: atomic numbers of the host cell, (n,).
        bulk_energy_eV: raw energy of that cell, eV.
        references_eV: energy per atom of each element's reference phase, eV, same engine.
        phases: other compounds of the host's elements and of the dopants.
        dopants: symbols of the foreign elements.

    Raises:
        ThermoError: if an element has no reference, a phase has another element, or the host is
            unstable against the others.

    Source: S. P. Ong et al., Chem. Mater. 20, 1798 (2008), through pymatgen's ``PhaseDiagram``.
    """
    atoms = composition(numbers)
    gain_eV = formation_energy_per_atom_eV(atoms, bulk_energy_eV, references_eV)
    allowed_eV = ELEMENTAL_TOLERANCE_EV if len(atoms) == 1 else 0.0
    if not gain_eV < allowed_eV:
        raise ThermoError(
            "host against its elements",
            f"unstable by {gain_eV:.4f} eV per atom at this level of theory",
            "There are no chemical potential limits then; check the elemental references, or "
            "use another high-fidelity engine",
        )
    check_references(dopants, references_eV)
    elements = tuple(sorted({*atoms, *dopants}))
    references = tuple((element, references_eV[element]) for element in elements)
    if len(elements) == 1:
        (element,) = atoms
        potential = ((element, bulk_energy_eV / len(numbers)),)
        return (ChemicalPotentialLimit(f"{element}-rich", (element,), potential, references),)
    for phase in phases:
        strangers = sorted(set(phase.atoms) - set(elements))
        if strangers:
            raise ThermoError(
                f"competing phase {phase.name}",
                f"has {', '.join(strangers)}",
                "Only phases of the host's own elements and of the study's dopants bound their potentials",
            )
    return _corners(atoms, bulk_energy_eV, references, phases)


def _corners(
    atoms: Mapping[str, int],
    bulk_energy_eV: float,
    references: tuple[tuple[str, float], ...],
    phases: Sequence[Phase],
) -> tuple[ChemicalPotentialLimit, ...]:
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core.composition import Composition

    host = Composition(atoms)
    # An elemental host is its own reference: what it differs by is noise, which would put one above the other.
    entries = [PDEntry(Composition(element), energy) for element, energy in references if {element} != set(atoms)]
    entries += [PDEntry(Composition(dict(phase.atoms)), phase.energy_eV) for phase in phases]
    own = PDEntry(host, bulk_energy_eV)
    diagram = PhaseDiagram([*entries, own])
    above_eV = float(diagram.get_e_above_hull(own) or 0.0)
    if above_eV > 0:
        decay = ", ".join(sorted(e.composition.reduced_formula for e in diagram.get_decomposition(host)))
        raise ThermoError(
            "host against competing phases",
            f"{above_eV:.4f} eV per atom above {decay} at this level of theory",
            "It decomposes there, so it has no chemical potential limits; check thermo.competing_phases",
        )
    limits = []
    for names, potentials in diagram.get_all_chempots(host.reduced_composition).items():
        found = tuple(sorted(names.split("-")))
        values = tuple(sorted((el.symbol, float(value)) for el, value in potentials.items()))
        limits.append(ChemicalPotentialLimit(_limit_name(found, host), found, values, references))
    return tuple(sorted(limits, key=lambda limit: limit.name))


def _limit_name(phases: Sequence[str], host: Any) -> str:
    """``Cd-rich`` where elements are at their reference, ``with CdTe2`` where other phases are there."""
    from pymatgen.core.composition import Composition

    others = [Composition(name) for name in phases if name != host.reduced_formula]
    # an element may be named by its molecule, O2
    rich = sorted(other.elements[0].symbol for other in others if other.is_element)
    compounds = sorted(other.reduced_formula for other in others if not other.is_element)
    words = [f"{'-'.join(rich)}-rich"] if rich else []
    return " ".join([*words, *(["with", " and ".join(compounds)] if compounds else [])])


def check_references(dopants: Sequence[str], references_eV: Mapping[str, float]) -> None:
    """Every dopant has a reference phase.

    Raises:
        ThermoError: naming those that have none.
    """
    missing = [element for element in dopants if element not in references_eV]
    if missing:
        raise ThermoError(
            "thermo.elemental_references",
            f"nothing for {', '.join(missing)}, which the study's defects add",
            "Give a structure file of the reference phase of each dopant",
        )


def check_elements(
    name: str, potentials: Mapping[str, float], atoms: Mapping[str, int], dopants: Sequence[str] = ()
) -> None:
    """A limit that the user gives has a value for each element of the host and each dopant, and for no other.

    Raises:
        ThermoError: naming the limit and the elements.
    """
    elements = [*atoms, *dopants]
    if set(potentials) != set(elements):
        raise ThermoError(
            f"thermo.chemical_potentials.{name}",
            f"has {', '.join(sorted(potentials))}",
            f"Give one value for each of {', '.join(elements)}",
        )


def mean_potential_eV(potentials: Mapping[str, float], atoms: Mapping[str, int]) -> float:
    """Potentials relative to the references, averaged over the host's atoms, eV: its formation energy per atom."""
    return sum(n * potentials[element] for element, n in atoms.items()) / sum(atoms.values())


def given_limits(
    numbers: Ints,
    bulk_energy_eV: float,
    references_eV: Mapping[str, float],
    given: Mapping[str, Mapping[str, float]],
    dopants: Sequence[str] = (),
) -> tuple[ChemicalPotentialLimit, ...]:
    """Limits that the user gives, relative to the elements' references.

    Args:
        numbers, bulk_energy_eV, references_eV: as for ``chemical_potential_limits``.
        given: per name of a limit, potential of each element of the host and of each dopant, eV.
        dopants: symbols of the foreign elements.

    Raises:
        ThermoError: if an element is missing or too many, or the host would not be in equilibrium.
    """
    atoms = composition(numbers)
    gain_eV = formation_energy_per_atom_eV(atoms, bulk_energy_eV, references_eV)
    check_references(dopants, references_eV)
    elements = sorted({*atoms, *dopants})
    references = tuple((element, references_eV[element]) for element in elements)
    limits = []
    for name, potentials in given.items():
        check_elements(name, potentials, atoms, dopants)
        sum_eV = mean_potential_eV(potentials, atoms)
        if abs(sum_eV - gain_eV) > EQUILIBRIUM_TOLERANCE_EV:
            raise ThermoError(
                f"thermo.chemical_potentials.{name}",
                f"they sum to {sum_eV:.4f} eV per atom, the host's formation energy is {gain_eV:.4f}",
                "In equilibrium with the host both agree; the engine may differ from the one that they come from",
            )
        values = tuple((el, potentials[el] + references_eV[el]) for el in elements)
        limits.append(ChemicalPotentialLimit(name, ("given",), values, references))
    return tuple(limits)


def doped_chempots(limits: Sequence[ChemicalPotentialLimit]) -> dict[str, Any]:
    """The limits as doped wants them: ``limits``, ``elemental_refs`` and ``limits_wrt_el_refs``."""
    return {
        "limits": {limit.name: dict(limit.potentials_eV) for limit in limits},
        "elemental_refs": dict(limits[0].references_eV),
        "limits_wrt_el_refs": {limit.name: dict(limit.relative_eV) for limit in limits},
    }
