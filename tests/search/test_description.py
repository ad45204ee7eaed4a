"""What a structure is called: its distortion and its point group."""

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from doped.utils.symmetry import schoenflies_from_hermann

from defectscape.domain.frame import Origin
from defectscape.search.description import describe
from defectscape.search.symmetry import (
    WITHOUT_DEGENERACY,
    lowering,
    orientations,
    point_group,
)

# Distortions are named after what moved.


SITE = (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def shell(v_cd):
    """Indices of the four tellurium neighbours of the vacancy, and vectors from it to them."""
    inverse = np.linalg.inv(v_cd.cell_A)
    fractional = v_cd.positions_A @ inverse
    vectors = (fractional - np.rint(fractional)) @ v_cd.cell_A
    near = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")[:4]
    return near, vectors[near]


def _moved(frame, moves):
    positions = frame.positions_A.copy()
    for atom, move in moves:
        positions[atom] += move
    return frame.moved(positions, origin=Origin.MINIMUM)


def _dimer(shell, i, j, length_A):
    near, vectors = shell
    bond = vectors[j] - vectors[i]
    step = bond / np.linalg.norm(bond) * (np.linalg.norm(bond) - length_A) / 2
    return [(near[i], step), (near[j], -step)]


def test_nothing_and_drift_are_unchanged(v_cd):
    assert describe(v_cd, v_cd, SITE) == "unchanged"
    drifted = v_cd.moved(v_cd.positions_A + 0.3, origin=Origin.MINIMUM)
    assert describe(drifted, v_cd, SITE) == "unchanged"


def test_a_dimer_is_named_with_its_length(v_cd, shell):
    assert describe(_moved(v_cd, _dimer(shell, 0, 1, 2.78)), v_cd, SITE).startswith("Te-Te dimer 2.78 A")


def test_two_dimers_are_two(v_cd, shell):
    frame = _moved(v_cd, _dimer(shell, 0, 1, 2.78) + _dimer(shell, 2, 3, 2.90))
    assert describe(frame, v_cd, SITE).startswith("Te-Te dimer 2.78 A, Te-Te dimer 2.90 A")


def test_breathing_has_a_direction_and_a_size(v_cd, shell):
    near, vectors = shell
    for factor, words in ((-0.06, "breathing inward 6%"), (0.06, "breathing outward 6%")):
        frame = _moved(v_cd, [(a, factor * v) for a, v in zip(near, vectors, strict=True)])
        assert describe(frame, v_cd, SITE) == words


def test_an_antisite_can_leave_its_site(v_cd):
    atoms = Atoms(v_cd.numbers, v_cd.positions_A, cell=v_cd.cell_A, pbc=True)
    atoms += Atoms("Te", positions=[[0.0, 0.0, 0.0]])
    antisite = type(v_cd)(atoms.numbers, atoms.positions, v_cd.cell_A, v_cd.key, 1, Origin.START, "Te_Cd/start")
    frame = _moved(antisite, [(len(antisite) - 1, [0.0, 0.0, 0.5])])
    assert "Te off-centre 0.49 A" in describe(frame, antisite, SITE)


def test_what_has_no_name_is_given_by_its_size(v_cd):
    frame = _moved(v_cd, [(45, [0.2, 0.0, 0.0])])
    assert describe(frame, v_cd, SITE) == "distorted, largest displacement 0.20 A"


def test_a_split_vacancy_is_an_atom_between_two_empty_sites(v_cd):
    inverse = np.linalg.inv(v_cd.cell_A)
    fractional = v_cd.positions_A @ inverse
    vectors = (fractional - np.rint(fractional)) @ v_cd.cell_A
    cadmium = np.flatnonzero(v_cd.numbers == 48)
    second = cadmium[np.argmin(np.linalg.norm(vectors[cadmium], axis=1))]
    frame = _moved(v_cd, [(second, -0.5 * vectors[second])])
    words = describe(frame, v_cd, SITE)
    length = 0.5 * np.linalg.norm(vectors[second])
    assert words.startswith("split vacancy, Cd ")
    assert float(words.split()[3]) == pytest.approx(length, abs=0.06)
    near = _moved(v_cd, [(second, -0.2 * vectors[second])])
    assert "split" not in describe(near, v_cd, SITE)


def test_a_split_interstitial_pushes_an_atom_out_of_its_site(v_cd, shell):
    near, vectors = shell
    atoms = Atoms(v_cd.numbers, v_cd.positions_A, cell=v_cd.cell_A, pbc=True)
    atoms += Atoms("Te", positions=[[0.0, 0.0, 0.0]])
    antisite = type(v_cd)(atoms.numbers, atoms.positions, v_cd.cell_A, v_cd.key, 1, Origin.START, "Te_Cd/start")
    step = 1.1 * vectors[0] / np.linalg.norm(vectors[0])
    words = describe(_moved(antisite, [(near[0], step)]), antisite, SITE)
    assert words.startswith("split with Te 1.0") or words.startswith("split with Te 1.1")


# Point groups of defects whose symmetry is known.


def _tellurium_shell(v_cd):
    """The four neighbours of the vacancy at the origin, and their directions from it."""
    inverse = np.linalg.inv(v_cd.cell_A)
    fractional = v_cd.positions_A @ inverse
    vectors = (fractional - np.rint(fractional)) @ v_cd.cell_A
    shell = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")[:4]
    return shell, vectors[shell] / np.linalg.norm(vectors[shell], axis=1)[:, None]


def test_the_unrelaxed_vacancy_is_td(v_cd):
    assert point_group(v_cd, 0.01) == "Td"


def test_one_neighbour_along_its_bond_leaves_c3v(v_cd):
    shell, directions = _tellurium_shell(v_cd)
    assert point_group(_moved(v_cd, [(shell[0], 0.4 * directions[0])]), 0.05) == "C3v"


def test_a_dimer_leaves_c2v(v_cd):
    shell, directions = _tellurium_shell(v_cd)
    toward = directions[1] - directions[0]
    frame = _moved(v_cd, [(shell[0], 0.4 * toward), (shell[1], -0.4 * toward)])
    assert point_group(frame, 0.05) == "C2v"


def test_two_dimers_leave_d2d(v_cd):
    shell, directions = _tellurium_shell(v_cd)
    moves = []
    for i, j in ((0, 1), (2, 3)):
        toward = directions[j] - directions[i]
        moves += [(shell[i], 0.3 * toward), (shell[j], -0.3 * toward)]
    assert point_group(_moved(v_cd, moves), 0.05) == "D2d"


def test_breathing_keeps_td_and_a_rattle_leaves_nothing(v_cd):
    shell, directions = _tellurium_shell(v_cd)
    breathing = _moved(v_cd, [(a, -0.2 * d) for a, d in zip(shell, directions, strict=True)])
    noise = np.random.default_rng(0).normal(0.0, 0.1, v_cd.positions_A.shape)
    rattled = v_cd.moved(v_cd.positions_A + noise, origin=Origin.RATTLE)
    assert point_group(breathing, 0.05) == "Td"
    assert point_group(rattled, 0.01) == "C1"


def test_noise_below_the_tolerance_is_overlooked(v_cd):
    noise = np.random.default_rng(0).uniform(-0.01, 0.01, v_cd.positions_A.shape)
    frame = v_cd.moved(v_cd.positions_A + noise, origin=Origin.MINIMUM)
    assert point_group(frame, 0.1) == "Td"
    assert point_group(frame, 1e-4) == "C1"


def test_an_elongated_cell_lowers_td_to_d2d(frame_of):
    atoms: Atoms = bulk("CdTe", "zincblende", a=6.6, cubic=True).repeat((1, 1, 2))
    del atoms[0]
    assert point_group(frame_of(atoms), 0.01) == "D2d"


def test_a_copper_vacancy_is_oh(vacancy):
    assert point_group(vacancy, 0.01) == "Oh"


@pytest.mark.parametrize("tolerance_A", [3.0])
def test_too_wide_a_tolerance_is_narrowed(v_cd, tolerance_A):
    assert point_group(v_cd, tolerance_A) == "Td"


def test_names_and_orders_are_those_of_the_groups_that_spglib_knows() -> None:
    """Our names (spglib's) are doped's, whose orders are used. The orders, and which groups have degenerate levels,
    follow from the operations that spglib lists."""
    names = set()
    for number in range(1, 531):
        kind = spglib.get_spacegroup_type(number)
        name = kind.pointgroup_schoenflies
        names.add(name)
        assert name == schoenflies_from_hermann(kind.pointgroup_international)
        rotations = spglib.get_symmetry_from_database(number)["rotations"]
        group = np.unique(rotations, axis=0)
        assert orientations(name, "C1") == len(group)
        # Only representations of dimension one, all real: abelian, and every operation its own inverse.
        assert (name in WITHOUT_DEGENERACY) == all(np.array_equal(r @ r, np.eye(3)) for r in group)
    assert len(names) == 32


@pytest.mark.parametrize(
    ("unrelaxed", "relaxed", "ways"),
    [
        ("Td", "Td", 1),
        ("Td", "C3v", 4),
        ("Td", "C2v", 6),
        ("Td", "D2d", 3),
        ("Td", "C1", 24),
        ("Cs", "C1", 2),
        ("C3v", "Td", None),
        ("Td", "unknown", None),
    ],
)
def test_orientations_of_textbook_distortions(unrelaxed, relaxed, ways) -> None:
    assert orientations(unrelaxed, relaxed) == ways


@pytest.mark.parametrize(
    ("unrelaxed", "relaxed", "words"),
    [
        ("Td", "D2d", "Jahn-Teller-like, Td to D2d"),
        ("Td", "C3v", "Jahn-Teller-like, Td to C3v"),
        ("Td", "Td", ""),
        ("Cs", "C1", ""),  # no level to split
        ("C2v", "D2d", ""),  # a gain, no loss
        ("Td", "unknown", ""),
    ],
)
def test_only_degenerate_groups_can_be_lowered_by_jahn_and_teller(unrelaxed: str, relaxed: str, words: str) -> None:
    assert lowering(unrelaxed, relaxed) == words
