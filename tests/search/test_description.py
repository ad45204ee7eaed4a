"""Distortions are named after what moved."""

import numpy as np
import pytest
from ase import Atoms

from defectscape.domain.frame import Origin
from defectscape.search.description import describe

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
