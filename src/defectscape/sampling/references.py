"""Frames of the crystals and molecules that formation energies refer to."""

import numpy as np
from ase.data import atomic_numbers as numbers_of
from ase.data import chemical_symbols

from defectscape.domain.errors import ConfigError
from defectscape.domain.frame import Frame, Ints, Origin
from defectscape.domain.keys import HOST_KEY
from defectscape.files.structures import atomic_numbers
from defectscape.sampling.host import read_reference, shortest_lattice_vector_A
from defectscape.sampling.standard_states import is_metal, is_molecule, reference_multiplicity
from defectscape.settings.base import Settings
from defectscape.settings.references import ReferenceSettings
from defectscape.settings.thermo import ThermoSettings

SMALL_CELL_A = 7.0
"""A metal's cell with a shorter lattice vector is off by tenths of an eV per atom at one k-point."""


def has_mesh(engine: Settings) -> bool:
    """Whether an engine has k-points: it then shares a metal's electrons between both spins, too."""
    return "kpoints" in type(engine).model_fields


def reference_numbers(reference: ReferenceSettings, name: str) -> Ints:
    """Atomic numbers of the atoms that a reference's energy is of: the file's, or one of the element."""
    if reference.file is None:
        return np.array([numbers_of[name]])
    return atomic_numbers(read_reference(reference.file))


def reference_frame(reference: ReferenceSettings, name: str, setting: str, engine: Settings) -> Frame:
    """A crystal beside the host, or a molecule in a box, with the spin of its ground state.

    Args:
        reference: what the study says of it.
        name: the element or the phase.
        setting: the key in the study, for messages.
        engine: settings of the engine that is to compute it.

    Raises:
        ConfigError: if there is no file.
        HostError: as ``read_reference``.
        ThermoError: as ``reference_multiplicity``.
    """
    if reference.file is None:
        raise ConfigError(f"{setting}.file", "none", "Give a structure file; its energy is given otherwise")
    structure = read_reference(reference.file, what=setting)
    numbers, cell_A = atomic_numbers(structure), np.asarray(structure.lattice.matrix)
    multiplicity = reference_multiplicity(
        numbers, structure.cart_coords, cell_A, setting, reference.multiplicity, has_mesh(engine)
    )
    return Frame(numbers, structure.cart_coords, cell_A, HOST_KEY, multiplicity, Origin.REFERENCE, f"reference/{name}")


def element_frame(thermo: ThermoSettings, element: str, engine: Settings) -> Frame:
    """The reference phase of an element.

    Raises:
        ConfigError: if the file holds other elements.
        HostError, ThermoError: as ``reference_frame``.
    """
    setting, reference = f"thermo.elemental_references.{element}", thermo.elemental_references[element]
    frame = reference_frame(reference, element, setting, engine)
    held = {chemical_symbols[number] for number in frame.numbers.tolist()}
    if held != {element}:
        raise ConfigError(
            setting, f"{reference.file} holds {', '.join(sorted(held))}", f"Give a structure of {element} alone"
        )
    return frame


def sampling_warning(frame: Frame, name: str, mesh: list[int] | None, engine: Settings) -> str | None:
    """What is to be said of the k-points of a metal's reference, or nothing."""
    if not is_metal(frame.numbers) or is_molecule(frame.numbers, frame.positions_A, frame.cell_A):
        return None
    if has_mesh(engine):
        return None if mesh else f"{name} is a metal without a mesh of its own: add it to thermo.elemental_kpoints"
    length_A = shortest_lattice_vector_A(frame.cell_A)
    if length_A >= SMALL_CELL_A:
        return None
    return f"{name} is a metal in a cell of {length_A:.1f} A, and the engine has one k-point: give a supercell"
