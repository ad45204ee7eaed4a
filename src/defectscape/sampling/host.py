"""The host crystal: read and checked, expanded to the supercell all defects share, and relaxed.

Energies, forces and stresses of the relaxation come from the supercell, so that the defects'
surroundings are relaxed with exactly the sampling of the Brillouin zone that the defects are
computed with; what moves is the unit cell, so the crystal's translations and symmetry hold exactly.
"""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    CalculationFailed,
    Calculator,
    PropertyNotImplementedError,
)
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from pymatgen.util.coord import lattice_points_in_supercell

from defectscape.domain.errors import HostError
from defectscape.domain.frame import Floats, Frame, Ints, Origin, lowest_multiplicity
from defectscape.domain.keys import HOST, HOST_KEY
from defectscape.domain.site import HostCrystal
from defectscape.files.quiet import quiet
from defectscape.files.structures import atomic_numbers, to_structure
from defectscape.sampling.host_checks import TIGHT_A, check_host, check_order
from defectscape.sampling.standard_states import is_molecule
from defectscape.sampling.supercell_surface import SupercellSurface
from defectscape.settings.structure import HostSettings, SupercellSettings

log = logging.getLogger(__name__)

_PARSE_FAILURES = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    StopIteration,
)
"""What pymatgen's readers raise on a file they cannot make sense of."""


def read_unit_cell(path: Path, *, what: str = "host file", taken_as_perfect: bool = False) -> Structure:
    """Read a crystal's cell as it stands in the file and check that it is perfect.

    A left-handed cell is spanned by the opposite vectors, which are the same lattice with the atoms where they
    were: VASP takes no left-handed one.

    Args:
        path: POSCAR, CIF or anything else pymatgen reads.
        what: what the file is, for messages.
        taken_as_perfect: whether a cell that looks like one with a point defect is accepted.

    Returns:
        A bare structure: elements without oxidation states, coordinates in [0, 1), lattice vectors right-handed.

    Raises:
        HostError: if the file is missing or unreadable, disordered, overlapping, without volume,
            not three-dimensional, noisy, or a supercell with a defect in it.
    """
    structure = _read(Path(path), what)
    check_host(structure, f"{what} {path}", taken_as_perfect=taken_as_perfect)
    return _right_handed(structure)


def read_reference(path: Path, *, what: str = "reference") -> Structure:
    """Read the crystal of a reference, or one molecule in a box of any size.

    Args:
        path: as for ``read_unit_cell``.
        what: what the file is, for messages.

    Raises:
        HostError: as ``read_unit_cell``; a molecule has vacuum, and no translations to be checked.
    """
    structure = _read(Path(path), what)
    check_order(structure, f"{what} {path}")
    molecule = is_molecule(atomic_numbers(structure), structure.cart_coords, structure.lattice.matrix)
    check_host(structure, f"{what} {path}", molecule=molecule)
    return _right_handed(structure)


def _right_handed(structure: Structure) -> Structure:
    """The crystal in a right-handed cell, with each atom at a fractional coordinate from 0 to 1."""
    hand = np.sign(np.linalg.det(structure.lattice.matrix))
    return Structure(
        Lattice(hand * structure.lattice.matrix), structure.species, hand * np.asarray(structure.frac_coords) % 1.0
    )


def _read(path: Path, what: str) -> Structure:
    if not path.is_file():
        raise HostError(what, path, "There is no such file; correct its path in the study")
    try:
        with quiet(f"reading {path}"), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            structure = Structure.from_file(path)
    except _PARSE_FAILURES as error:
        raise HostError(
            f"{what} {path}",
            f"cannot be read ({type(error).__name__}: {error})",
            "Give a POSCAR or CIF (the name must say which: *.vasp, POSCAR*, *.cif)",
        ) from error
    # pymatgen calls the elements of such a file H, He, Li and so on.
    if any("cannot be determined" in str(warning.message) for warning in said):
        raise HostError(
            f"{what} {path}",
            "is a POSCAR of VASP 4, which does not name its elements",
            "Add a line with their symbols, in the order of the POTCAR, above the line of their numbers",
        )
    structure.remove_oxidation_states()
    return structure


def shortest_lattice_vector_A(cell_A: Floats) -> float:
    """Length of the shortest non-zero lattice vector, A: the distance of a defect to its image.

    The first vector of a Niggli-reduced cell is the shortest of the lattice (Gruber, Acta Cryst.
    A29, 433 (1973)).
    """
    return float(min(Lattice(cell_A).get_niggli_reduced_lattice().abc))


def build_host(structure: Structure, supercell: SupercellSettings) -> HostCrystal:
    """Expand the unit cell to the supercell.

    Atoms are grouped by element in the unit cell's order of first appearance, then by unit-cell
    atom, then by translation, so the order depends on nothing else.

    Raises:
        HostError: if the matrix is singular, or the supercell's images are closer than
             ``supercell.min_image_distance_A``.
    """
    matrix = _matrix(structure, supercell)
    unit_cell = np.asarray(structure.lattice.matrix)
    cell = matrix @ unit_cell
    distance = shortest_lattice_vector_A(cell)
    if distance < supercell.min_image_distance_A - 1e-6:
        raise HostError(
            "host supercell",
            f"a defect is {distance:.2f} A from its image with matrix {matrix.tolist()}, below "
            f"min_image_distance_A {supercell.min_image_distance_A:g}",
            "Give a larger matrix, or lower min_image_distance_A if you accept that",
        )
    unit_numbers = atomic_numbers(structure)
    unit_fracs = np.asarray(structure.frac_coords) % 1.0
    numbers, positions = _expand(unit_numbers, unit_fracs, matrix, cell)
    with quiet("space group"):
        spacegroup = SpacegroupAnalyzer(structure, symprec=TIGHT_A).get_space_group_symbol()
    return HostCrystal(
        formula=structure.composition.reduced_formula,
        spacegroup=spacegroup,
        unit_numbers=unit_numbers,
        unit_positions_A=unit_fracs @ unit_cell,
        unit_cell_A=unit_cell,
        matrix=matrix,
        numbers=numbers,
        positions_A=positions,
        cell_A=cell,
        min_image_distance_A=distance,
    )


def read_host_file(settings: HostSettings) -> HostCrystal:
    """The crystal of a study before any relaxation; errors as ``read_unit_cell`` and ``build_host``."""
    return build_host(read_unit_cell(settings.file, taken_as_perfect=settings.taken_as_perfect), settings.supercell)


def _matrix(structure: Structure, supercell: SupercellSettings) -> Ints:
    """The supercell matrix of the settings, or doped's choice."""
    if supercell.matrix is not None:
        matrix = np.array(supercell.matrix, dtype=np.int64)
    else:
        log.info("looking for a supercell whose images are %g A apart", supercell.min_image_distance_A)
        with quiet("supercell search"):
            from doped.generation import get_ideal_supercell_matrix

            found = get_ideal_supercell_matrix(
                structure, min_image_distance=supercell.min_image_distance_A, min_atoms=1
            )
        matrix = np.rint(np.asarray(found)).astype(np.int64)
        log.info("supercell matrix found: %s", matrix.tolist())
    determinant = round(float(np.linalg.det(matrix)))
    if determinant == 0:
        raise HostError(
            "host.supercell.matrix",
            f"{matrix.tolist()} has determinant 0",
            "Its rows must be three independent supercell vectors",
        )
    # The opposite vectors span the same supercell, right-handed.
    return matrix if determinant > 0 else -matrix


def _expand(numbers: Ints, fracs: Floats, matrix: Ints, cell_A: Floats) -> tuple[Ints, Floats]:
    """Numbers (n,) and positions (n, 3) in A of the supercell, in the documented order."""
    points = np.asarray(lattice_points_in_supercell(matrix))
    points = points[np.lexsort(np.round(points, 8).T[::-1])]
    blocks = {number: rank for rank, number in enumerate(dict.fromkeys(numbers.tolist()))}
    order = sorted(range(len(numbers)), key=lambda index: (blocks[int(numbers[index])], index))
    inverse = np.linalg.inv(matrix)
    everything = np.concatenate([points + fracs[index] @ inverse for index in order])
    wrapped = everything - np.floor(everything + 1e-9)
    return np.repeat(numbers[order], len(points)), wrapped @ cell_A


def unit_cell_indices(host: HostCrystal) -> Ints:
    """The unit-cell atom that each supercell atom is an image of, shape (n,).

    Raises:
        HostError: if an atom of the supercell is no image of the unit cell.
    """
    inverse = np.linalg.inv(host.unit_cell_A)
    gaps = (host.positions_A[:, None, :] - host.unit_positions_A[None, :, :]) @ inverse
    gaps -= np.rint(gaps)
    distances = np.linalg.norm(gaps @ host.unit_cell_A, axis=2)
    same = host.numbers[:, None] == host.unit_numbers[None, :]
    distances = np.where(same, distances, np.inf)
    nearest = np.argmin(distances, axis=1)
    worst = float(np.max(distances[np.arange(len(nearest)), nearest]))
    if worst > 1e-2:
        raise HostError(
            "host supercell",
            f"an atom is {worst:.3g} A from any image of the unit cell",
            "Build the host again from its file",
        )
    return nearest.astype(np.int64)


def host_frame(host: HostCrystal, ferromagnet: int | None = None) -> Frame:
    """The perfect supercell as a frame: neutral, of the lowest multiplicity, or that of a ferromagnet."""
    return Frame(
        host.numbers,
        host.positions_A,
        host.cell_A,
        HOST_KEY,
        ferromagnet or lowest_multiplicity(host.numbers, 0),
        Origin.HOST,
        HOST,
        None,
        "perfect supercell",
    )


def _report_step(optimiser: BFGS, atoms: Atoms) -> None:
    """Hours of an expensive engine should not pass in silence."""
    fmax_eV_A = float(np.max(np.linalg.norm(atoms.get_forces(), axis=1)))
    log.info(
        "host relaxation, step %d: %.6f eV per cell, largest force %.4f eV/A",
        optimiser.nsteps,
        atoms.get_potential_energy(),
        fmax_eV_A,
    )


def relax_host(host: HostCrystal, calculator_for: Callable[[Frame], Calculator], settings: HostSettings) -> HostCrystal:
    """Relax the host as ``settings.relax`` says, with its space group kept.

    ``positions`` relaxes the atoms in the cell of the file, ``volume`` also scales that cell
    (hydrostatic strain), ``cell`` relaxes every strain the symmetry allows, and ``none`` returns
    the host as it is.

    Args:
        host: the crystal.
        calculator_for: gives the ASE calculator for a frame; but for
            ``positions`` it must have stresses and serve changed cells.
        settings: kind of relaxation, ``relax_fmax_eV_A``, ``relax_max_steps`` and the supercell.

    Raises:
        HostError: if the engine has no stress, the relaxation does not converge, or the relaxed
            supercell is too small.
    """
    if settings.relax == "none":
        return host
    atoms = Atoms(host.unit_numbers, host.unit_positions_A, cell=host.unit_cell_A, pbc=True)
    calculator = calculator_for(host_frame(host, settings.ferromagnet))
    atoms.calc = SupercellSurface(host, unit_cell_indices(host), calculator)
    with quiet("symmetry of the host"):
        atoms.set_constraint(FixSymmetry(atoms, symprec=TIGHT_A))
    moving: Any = atoms
    if settings.relax != "positions":
        moving = FrechetCellFilter(atoms, hydrostatic_strain=settings.relax == "volume")
    optimiser = BFGS(moving, logfile=None)
    optimiser.attach(_report_step, 1, optimiser, atoms)
    try:
        converged = optimiser.run(fmax=settings.relax_fmax_eV_A, steps=settings.relax_max_steps)
    except CalculationFailed as error:
        raise HostError("host relaxation", error, "Change the engine's settings, or set host.relax to none") from error
    except PropertyNotImplementedError as error:
        raise HostError(
            "host.relax",
            f"{settings.relax!r} needs stresses and the engine gives none ({error})",
            "Set host.relax to none, or use an engine with stresses",
        ) from error
    if not converged:
        raise HostError(
            "host relaxation",
            f"not below {settings.relax_fmax_eV_A:g} eV/A after {settings.relax_max_steps} steps",
            "Raise host.relax_max_steps, or start from a host file closer to this level's geometry",
        )
    ratio = atoms.get_volume() / float(np.linalg.det(host.unit_cell_A))
    log.info("host relaxed in %d steps: volume ratio %.4f", optimiser.nsteps, ratio)
    structure = to_structure(host.unit_numbers, atoms.get_positions(), np.asarray(atoms.cell))
    same_matrix = SupercellSettings(
        matrix=host.matrix.tolist(),
        min_image_distance_A=settings.supercell.min_image_distance_A,
    )
    return build_host(structure, same_matrix)
