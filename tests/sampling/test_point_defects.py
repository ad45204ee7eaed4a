"""Point defects betray themselves by translations that almost hold; perfect crystals have none."""

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.errors import HostError
from defectscape.sampling.host import read_unit_cell
from defectscape.sampling.point_defects import find_point_defect
from support.mistakes import mistake

SG = Structure.from_spacegroup
SB2SE3 = SG(
    "Pnma",
    Lattice.orthorhombic(11.7938, 3.9858, 11.6478),
    ["Sb", "Sb", "Se", "Se", "Se"],
    [
        [0.145, 0.75, 0.037],
        [0.032, 0.25, 0.328],
        [0.372, 0.25, 0.945],
        [0.710, 0.25, 0.308],
        [0.053, 0.25, 0.872],
    ],
)
PERFECT = {
    "CdTe": SG("F-43m", Lattice.cubic(6.62), ["Cd", "Te"], [[0, 0, 0], [0.25] * 3]),
    "Si": SG("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]]),
    "MgO": SG("Fm-3m", Lattice.cubic(4.21), ["Mg", "O"], [[0, 0, 0], [0.5] * 3]),
    "Sb2Se3": SB2SE3,
    "wurtzite": SG(
        "P6_3mc",
        Lattice.hexagonal(3.25, 5.2),
        ["Zn", "O"],
        [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]],
    ),
    "quartz": SG(
        "P3_221",
        Lattice.hexagonal(4.913, 5.405),
        ["Si", "O"],
        [[0.4697, 0, 2 / 3], [0.4135, 0.2669, 0.7858]],
    ),
    "rutile": SG("P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
    "perovskite": SG("Pm-3m", Lattice.cubic(3.905), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]),
    "tilted perovskite": SG(
        "Pnma",
        Lattice.orthorhombic(5.44, 7.64, 5.38),
        ["Ca", "Ti", "O", "O"],
        [[0.035, 0.25, -0.007], [0, 0, 0.5], [0.484, 0.25, 0.071], [0.289, 0.037, -0.289]],
    ),
    "spinel": SG("Fd-3m", Lattice.cubic(8.08), ["Mg", "Al", "O"], [[0, 0, 0], [0.625] * 3, [0.387] * 3]),
    "bixbyite": SG(
        "Ia-3",
        Lattice.cubic(10.117),
        ["In", "In", "O"],
        [[0.25] * 3, [0.466, 0, 0.25], [0.39, 0.154, 0.382]],
    ),
    "kesterite": SG(
        "I-4",
        Lattice.tetragonal(5.43, 10.86),
        ["Cu", "Cu", "Zn", "Sn", "S"],
        [[0, 0, 0], [0, 0.5, 0.25], [0.5, 0, 0.25], [0, 0, 0.5], [0.756, 0.757, 0.872]],
    ),
    "ordered alloy": SG(
        "I4/mmm",
        Lattice.tetragonal(8.31, 3.9),
        ["Ti", "Pt", "Pt"],
        [[0, 0, 0], [1 / 3, 0, 0], [1 / 3, 1 / 3, 0]],
    ),
}
SUPERCELLS = [
    ("CdTe", (2, 2, 1)),
    ("CdTe", (2, 2, 2)),
    ("Si", (2, 2, 2)),
    ("MgO", (2, 1, 1)),
    ("MgO", (2, 2, 2)),
    ("Sb2Se3", (1, 2, 1)),
    ("Sb2Se3", (1, 3, 1)),
    ("quartz", (2, 2, 2)),
]


@pytest.mark.parametrize("name", PERFECT)
def test_perfect_crystals_and_their_supercells_are_accepted(name, tmp_path):
    path = tmp_path / "host.cif"
    PERFECT[name].to(filename=str(path), fmt="cif")
    assert len(read_unit_cell(path)) == len(PERFECT[name])
    assert find_point_defect(PERFECT[name] * (2, 1, 1)) is None


def with_vacancy(cell):
    cell.remove_sites([len(cell) // 3])
    return cell


def with_antisite(cell):
    symbols = [element.symbol for element in cell.elements]
    own = cell[len(cell) // 3].specie.symbol
    others = [symbol for symbol in symbols if symbol != own]
    cell.replace(len(cell) // 3, others[0] if others else "Ge")
    return cell


def with_interstitial(cell):
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 12, endpoint=False)] * 3), -1).reshape(-1, 3)
    distances = cell.lattice.get_all_distances(grid, cell.frac_coords).min(axis=1)
    cell.append(cell[0].specie, grid[int(np.argmax(distances))])
    return cell


def with_dopant(cell):
    cell.replace(len(cell) // 3, "Cl")
    return cell


@pytest.mark.parametrize("defect", [with_vacancy, with_antisite, with_interstitial, with_dopant])
@pytest.mark.parametrize("rattle_A", [0.0, 0.05])
@pytest.mark.parametrize(("name", "repeats"), SUPERCELLS)
def test_defective_supercells_are_found(name, repeats, rattle_A, defect):
    cell = defect(PERFECT[name] * repeats)
    moves = np.random.default_rng(1).normal(0, 1, (len(cell), 3)) * rattle_A
    cell = Structure(cell.lattice, cell.species, cell.cart_coords + moves, coords_are_cartesian=True)
    found = find_point_defect(cell)
    assert found is not None
    assert found.atoms - 2 <= found.mapped < found.atoms


def test_a_perfect_supercell_with_noise_is_no_defect():
    cell = PERFECT["CdTe"] * (2, 2, 2)
    moves = np.random.default_rng(2).normal(0, 0.08, (len(cell), 3))
    noisy = Structure(cell.lattice, cell.species, cell.cart_coords + moves, coords_are_cartesian=True)
    assert find_point_defect(noisy) is None


def test_the_refusal_names_the_place_and_the_remedy(tmp_path):
    cell = PERFECT["CdTe"] * (2, 2, 2)
    gone = cell[5].frac_coords
    cell.remove_sites([5])
    path = tmp_path / "defective.vasp"
    cell.to(filename=str(path), fmt="poscar")
    with pytest.raises(HostError, match="point defect") as caught:
        read_unit_cell(path)
    message = str(caught.value)
    assert "62 of 63" in message
    assert "perfect unit cell" in message
    mistake("hosts", "a supercell with a vacancy as host", said=caught.value, when="check, run")
    place = find_point_defect(cell).frac_coords
    # The search works in a Niggli-reduced cell, which is this cubic cell up to its orientation.
    assert sorted(np.round(np.array(place) % 0.5, 2)) == sorted(np.round(gone % 0.5, 2))
