"""Our arrays as pymatgen structures, which is what doped takes."""

from typing import Any

from ase.data import chemical_symbols

from defectscape.domain.frame import Floats, Ints


def pymatgen_structure(numbers: Ints, positions_A: Floats, cell_A: Floats) -> Any:
    """A pymatgen ``Structure`` of atomic numbers (n,), positions (n, 3) in A and cell (3, 3)."""
    from pymatgen.core.structure import Structure

    symbols = [chemical_symbols[int(number)] for number in numbers]
    return Structure(cell_A, symbols, positions_A, coords_are_cartesian=True)
