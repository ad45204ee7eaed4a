"""Crystals and molecules that elements are found in, from the libraries that list them.

Parameters are measured ones: molecules of the G2 set and simple metals and semiconductors from ASE, the rest
from the prototypes of AFLOW that pymatgen has, each in the element that names it.
"""

import numpy as np
from ase.build import bulk, molecule
from ase.data import atomic_numbers
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from defectscape.files.quiet import quiet
from defectscape.sampling.standard_states import MAGNETIC_METALS, MAGNETIC_SINCE_Z

MOLECULES = ("H", "N", "O", "F", "Cl")
"""Elements whose reference is a molecule of two atoms."""
PROTOTYPES = {
    "B": "A_hR12_166_2h",
    "C": "A_hP4_194_bc",
    "P": "A_oC8_64_f",
    "S": "A_oF128_70_4h",
    "Ga": "A_oC8_64_f",
    "Se": "A_hP3_152_a",
    "I": "A_oC8_64_f",
}
"""AFLOW's label of an element's crystal."""
TELLURIUM_A = (4.457, 5.929, 0.2636)
"""Lattice constants a and c, and the position along a, of trigonal tellurium (P3_121), A: selenium's crystal."""
BOX_A = 12.0
"""Edge of a molecule's box."""


def element_crystal(element: str) -> Structure | None:
    """The reference crystal of an element, primitive, or one molecule in a box; None where none is known.

    Magnetic metals have none: their moments are free, so an energy has to be given.
    """
    if element in MAGNETIC_METALS or atomic_numbers[element] >= MAGNETIC_SINCE_Z:
        return None
    if element in MOLECULES:
        pair = molecule(f"{element}2")
        # No edge is a multiple of another, so that the box favours no direction.
        return Structure(
            Lattice.orthorhombic(BOX_A, 1.05 * BOX_A, 1.1 * BOX_A),
            [element, element],
            pair.positions - pair.positions.mean(axis=0) + BOX_A / 2,
            coords_are_cartesian=True,
        )
    if element in PROTOTYPES:
        return _prototype(element, PROTOTYPES[element])
    if element == "Te":
        a, c, x = TELLURIUM_A
        return Structure.from_spacegroup("P3_121", Lattice.hexagonal(a, c), ["Te"], [[x, 0.0, 1 / 3]])
    try:
        return AseAtomsAdaptor.get_structure(bulk(element))
    except ValueError:
        return None


def _prototype(element: str, label: str) -> Structure:
    with quiet("AFLOW prototypes"):
        from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY  # type: ignore[attr-defined]

    found = (
        entry["snl"].structure
        for entry in AFLOW_PROTOTYPE_LIBRARY
        if entry["tags"]["aflow"] == label and entry["snl"].structure.composition.elements[0].symbol == element
    )
    structure: Structure = next(found)
    return structure.get_primitive_structure()


def repeated(crystal: Structure, length_A: float) -> Structure:
    """A crystal's supercell whose lattice vectors are this long at least: one k-point samples it as it does a host.

    Args:
        crystal: the primitive cell.
        length_A: shortest length, A.
    """
    reduced = crystal.get_reduced_structure("niggli")
    return reduced * [int(np.ceil(length_A / edge_A - 1e-6)) for edge_A in reduced.lattice.abc]
