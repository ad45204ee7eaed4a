"""Chemical potential limits of the host against its own elements.

A compound in equilibrium with itself fixes one combination of the chemical potentials; the corners
of what is left are where all elements but one are at their reference phase. No other competing
phase enters, so the limits are outer bounds of the true ones.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ase.data import chemical_symbols

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Ints
from defectscape.domain.level import ChemicalPotentialLimit

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


def chemical_potential_limits(
    numbers: Ints, bulk_energy_eV: float, references_eV: Mapping[str, float]
) -> tuple[ChemicalPotentialLimit, ...]:
    """The limits of the host between its elements, sorted by name.

    Args:
        numbers: atomic numbers of the host cell, (n,).
        bulk_energy_eV: raw energy of that cell, eV.
        references_eV: energy per atom of each element's reference phase, eV, same engine.

    Raises:
        ThermoError: if an element has no reference, or the host is unstable against its elements.

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
    references = tuple((element, references_eV[element]) for element in atoms)
    if len(atoms) == 1:
        (element,) = atoms
        potential = ((element, bulk_energy_eV / len(numbers)),)
        return (ChemicalPotentialLimit(f"{element}-rich", (element,), potential, references),)
    return _corners(atoms, bulk_energy_eV, references)


def _corners(
    atoms: Mapping[str, int], bulk_energy_eV: float, references: tuple[tuple[str, float], ...]
) -> tuple[ChemicalPotentialLimit, ...]:
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core.composition import Composition

    host = Composition(atoms)
    entries = [PDEntry(Composition(element), energy) for element, energy in references]
    diagram = PhaseDiagram([*entries, PDEntry(host, bulk_energy_eV)])
    limits = []
    for phases, potentials in diagram.get_all_chempots(host.reduced_composition).items():
        names = tuple(sorted(phases.split("-")))
        # an element may be named by its molecule, O2
        pure = [Composition(name) for name in names if Composition(name).is_element]
        rich = "-".join(sorted(phase.elements[0].symbol for phase in pure))
        values = tuple(sorted((el.symbol, float(value)) for el, value in potentials.items()))
        limits.append(ChemicalPotentialLimit(f"{rich}-rich", names, values, references))
    return tuple(sorted(limits, key=lambda limit: limit.name))


def doped_chempots(limits: Sequence[ChemicalPotentialLimit]) -> dict[str, Any]:
    """The limits as doped wants them: ``limits``, ``elemental_refs`` and ``limits_wrt_el_refs``."""
    return {
        "limits": {limit.name: dict(limit.potentials_eV) for limit in limits},
        "elemental_refs": dict(limits[0].references_eV),
        "limits_wrt_el_refs": {limit.name: dict(limit.relative_eV) for limit in limits},
    }
