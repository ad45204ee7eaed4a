"""Arrays to the structure types of the libraries that sampling stands on."""

from typing import Any

import numpy as np
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from defectscape.domain.frame import Floats, Ints


def to_structure(numbers: Ints, positions_A: Floats, cell_A: Floats) -> Structure:
    """A pymatgen structure of atoms (n,) at Cartesian positions (n, 3) in a cell (3, 3), A."""
    elements = [Element.from_Z(int(number)) for number in numbers]
    return Structure(Lattice(cell_A), elements, positions_A, coords_are_cartesian=True)


def atomic_numbers(structure: Structure) -> Ints:
    """Atomic numbers (n,) of an ordered structure."""
    return np.array([site.specie.Z for site in structure], dtype=np.int64)


def spglib_cell(structure: Structure) -> Any:
    """The triple of lattice, fractional coordinates and atomic numbers that spglib takes."""
    fracs = np.asarray(structure.frac_coords)
    return np.asarray(structure.lattice.matrix), fracs, atomic_numbers(structure)
