"""The spin of elements' reference phases and of competing phases.

A molecule in a box has the spin of its ground state: O2 is a triplet. A crystal without open shells has no moment;
a metal with an odd number of electrons in its cell is computed without one, both spins sharing the smeared
occupations, never with one unpaired electron. The moments of magnetic metals are free and no integer, so
they are refused until the study says more.
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii, ground_state_magnetic_moments
from ase.neighborlist import neighbor_list
from pymatgen.core.periodic_table import Element

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import NO_MOMENT, Floats, Ints, lowest_multiplicity
from defectscape.sampling.electrons import open_shell_ions

BOND_FACTOR = 1.3
"""Atoms closer than this multiple of the sum of their covalent radii are bonded."""
TRIPLET_DIMERS = frozenset({"O", "S", "Se", "Te", "B", "Si", "Ge", "Sn"})
"""Elements whose diatomic molecule has two unpaired electrons in its ground state (Huber and Herzberg, 1979)."""
MAGNETIC_METALS = frozenset(chemical_symbols[z] for z in (*range(24, 29), *range(58, 70)))
"""Metals whose standard state has moments (Cr to Ni, Ce to Tm): free, and no integer for each cell."""
MAGNETIC_SINCE_Z = 93
"""All elements from neptunium on have open f shells in their standard state."""


def molecules(numbers: Ints, positions_A: Floats, cell_A: Floats) -> list[list[int]] | None:
    """Atoms of each molecule of a cell; None where bonds run through the crystal (a chain, layer or network)."""
    atoms = Atoms(numbers, positions_A, cell=cell_A, pbc=True)
    radii = BOND_FACTOR * covalent_radii[numbers]
    firsts, seconds, images = neighbor_list("ijS", atoms, list(radii))
    bonds: dict[int, list[tuple[int, Ints]]] = {atom: [] for atom in range(len(numbers))}
    for first, second, image in zip(firsts, seconds, images, strict=True):
        bonds[int(first)].append((int(second), image))
    places: dict[int, Ints] = {}
    found = []
    for start in range(len(numbers)):
        if start in places:
            continue
        places[start], queue, members = np.zeros(3, dtype=int), [start], []
        while queue:
            atom = queue.pop()
            members.append(atom)
            for other, image in bonds[atom]:
                place = places[atom] + image
                if other not in places:
                    places[other] = place
                    queue.append(other)
                elif np.any(places[other] != place):
                    return None
        found.append(members)
    return found


def is_molecule(numbers: Ints, positions_A: Floats, cell_A: Floats) -> bool:
    """Whether a cell holds one molecule, or one atom, that is bonded to no image of itself."""
    found = molecules(numbers, positions_A, cell_A)
    return found is not None and len(found) == 1


def is_metal(numbers: Sequence[int] | Ints) -> bool:
    """Whether all elements are metals."""
    return all(Element.from_Z(int(number)).is_metal for number in numbers)


def reference_multiplicity(
    numbers: Ints,
    positions_A: Floats,
    cell_A: Floats,
    name: str,
    stated: int | None = None,
    unpolarised: bool = True,
) -> int:
    """The spin multiplicity that a reference is to be computed with.

    Args:
        numbers, positions_A, cell_A: the crystal, or the molecule in its box.
        name: setting that it stands in, for the message.
        stated: what the study says; it is taken as it is.
        unpolarised: whether the engine can share an odd number of electrons between both spins.

    Raises:
        ThermoError: if a multiplicity is of the wrong parity, or none is known.
    """
    lowest = lowest_multiplicity(numbers, 0)
    if stated is not None:
        if (stated - lowest) % 2:
            raise ThermoError(
                f"{name}: multiplicity",
                f"{stated} is impossible with {int(np.sum(numbers))} electrons",
                f"Give an {'odd' if lowest % 2 else 'even'} one: number of unpaired electrons plus one",
            )
        return stated
    found = molecules(numbers, positions_A, cell_A)
    if found is not None and (known := _of_molecules(numbers, found)) is not None:
        return known
    magnetic = _magnetic(numbers, found)
    if magnetic:
        metal = found is None and len(set(numbers.tolist())) == 1
        raise ThermoError(
            name,
            f"the spin of {magnetic} is not known beforehand",
            "Give multiplicity beside file, or energy_eV_per_atom with its source"
            + (" (a metal's moment is no integer: rather the energy)" if metal else ""),
        )
    return NO_MOMENT if lowest != 1 and found is None and unpolarised else lowest


def _of_molecules(numbers: Ints, found: list[list[int]]) -> int | None:
    """The ground state of one molecule or atom of one element in its box, None where the tables have none."""
    if len(found) > 1 or len(set(numbers.tolist())) > 1:
        return None
    if len(numbers) == 1:
        return 1 + round(ground_state_magnetic_moments[int(numbers[0])])
    if len(numbers) == 2:
        symbol = chemical_symbols[int(numbers[0])]
        if symbol in TRIPLET_DIMERS:
            return 3
        return None if Element(symbol).is_transition_metal else 1
    return None


def _magnetic(numbers: Ints, found: list[list[int]] | None) -> str:
    """Why the lowest spin may be wrong, or nothing."""
    species = set(numbers.tolist())
    if len(species) > 1:
        ions = () if is_metal(numbers) and not _magnetic_metals(species) else open_shell_ions(numbers)
        return ", ".join(ions)
    symbol = chemical_symbols[int(numbers[0])]
    if found is not None and symbol in TRIPLET_DIMERS and any(len(atoms) == 2 for atoms in found):
        return f"several {symbol}2 molecules, each a triplet (give one molecule in a box instead)"
    if found is not None and Element(symbol).is_transition_metal:
        return f"a molecule of {symbol}"
    return ", ".join(f"metallic {symbol}" for symbol in _magnetic_metals(species))


def _magnetic_metals(species: set[int]) -> list[str]:
    """Symbols of the elements whose metal has moments."""
    symbols = {chemical_symbols[number]: number for number in sorted(species)}
    return [symbol for symbol, number in symbols.items() if symbol in MAGNETIC_METALS or number >= MAGNETIC_SINCE_Z]
