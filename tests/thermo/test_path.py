"""Paths between charge states: length, points, and the freedom of numbering, drift and symmetry."""

from dataclasses import replace

import numpy as np
import pytest
from ase.data import atomic_masses

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Origin
from defectscape.thermo.path import configuration_path, path_fractions


def breathing(frame, amplitude_A, neighbours=4):
    """Move the four neighbours of the vacancy at the origin, each by its own amount, outwards."""
    vectors = frame.positions_A - np.rint(frame.positions_A @ np.linalg.inv(frame.cell_A)) @ (frame.cell_A)
    distances = np.linalg.norm(vectors, axis=1)
    nearest = np.argsort(distances, kind="stable")[:neighbours]
    positions = frame.positions_A.copy()
    scale = amplitude_A * np.array([1.0, 0.6, 0.3, 0.1])[:neighbours, None]
    positions[nearest] += scale * vectors[nearest] / distances[nearest, None]
    return frame.moved(positions, origin=Origin.MINIMUM)


@pytest.fixture
def ends(vacancy):
    return breathing(vacancy(0), 0.10), breathing(vacancy(-1), 0.30)


def expected_length(initial, final):
    """Mass-weighted length of the plain difference, the motion of the centre of mass removed."""
    masses = atomic_masses[initial.numbers]
    steps = final.positions_A - initial.positions_A
    steps = steps - masses @ steps / masses.sum()
    return np.sqrt(np.sum(masses[:, None] * steps**2))


def test_points_are_even_but_hit_both_ground_states():
    assert path_fractions(9, 0.4) == pytest.approx([-0.4, -0.175, 0, 0.275, 0.5, 0.725, 1, 1.175, 1.4])
    for points in range(3, 15):
        for extend in (0.0, 0.1, 0.4, 2.0, 7.0):
            fractions = path_fractions(points, extend)
            assert np.all(np.diff(fractions) > 0)
            assert {0.0, 1.0} <= set(fractions.tolist())
            assert fractions == pytest.approx(1 - fractions[::-1])


def test_length_and_ends_of_a_plain_path(ends):
    initial, final = ends
    path = configuration_path(initial, final, points=9, extend=0.4)
    assert path.dQ_amu05_A == pytest.approx(expected_length(initial, final))
    assert path.Q_amu05_A == pytest.approx(path.fractions * path.dQ_amu05_A)
    start, end = (int(np.flatnonzero(path.fractions == x)[0]) for x in (0.0, 1.0))
    assert path.frames_initial[start].positions_A == pytest.approx(initial.positions_A)
    masses = atomic_masses[initial.numbers]
    steps = path.frames_final[end].positions_A - final.positions_A
    assert np.ptp(steps, axis=0) == pytest.approx(0, abs=1e-9)  # a rigid shift at most
    assert path.frames_final[end].charge == -1
    assert path.frames_final[end].multiplicity == final.multiplicity
    assert {f.charge for f in path.frames_initial} == {0}
    for a, b in zip(path.frames_initial, path.frames_final, strict=True):
        assert np.array_equal(a.positions_A, b.positions_A)
    moved = masses @ (path.frames_final[end].positions_A - initial.positions_A)
    assert moved == pytest.approx(0, abs=1e-9)


def test_numbering_of_atoms_does_not_matter(ends):
    initial, final = ends
    order = np.random.default_rng(1).permutation(len(final))
    mixed = replace(final, numbers=final.numbers[order], positions_A=final.positions_A[order])
    path = configuration_path(initial, mixed, points=5, extend=0.0)
    assert path.dQ_amu05_A == pytest.approx(expected_length(initial, final))


def test_drift_and_periodic_images_do_not_matter(ends):
    initial, final = ends
    wrapped = np.mod((final.positions_A + np.array([0.11, -0.07, 0.2])) / 13.08, 1.0) * 13.08
    path = configuration_path(initial, final.moved(wrapped, origin=Origin.MINIMUM), points=5, extend=0.0)
    assert path.dQ_amu05_A == pytest.approx(expected_length(initial, final))


@pytest.mark.parametrize(
    ("turn", "shift"),
    [
        (np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]), [0, 0, 0]),
        (np.array([[-1, 0, 0], [0, -1, 0], [0, 0, 1]]), [0, 0, 0]),
        (np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]), [0, 6.54, 0]),
        (np.eye(3), [3.27, 3.27, 0]),
    ],
    ids=["threefold", "twofold", "mirror and translation", "translation"],
)
def test_an_operation_of_the_host_on_one_end_does_not_matter(ends, turn, shift):
    initial, final = ends
    image = final.moved(final.positions_A @ turn.T + shift, origin=Origin.MINIMUM)
    path = configuration_path(initial, image, points=5, extend=0.0)
    assert path.dQ_amu05_A == pytest.approx(expected_length(initial, final))


def test_distortions_towards_different_neighbours_are_one_up_to_symmetry(vacancy):
    """Distorted along two arms of the tetrahedron, as after a Jahn-Teller effect."""
    first, second = vacancy(0).positions_A.copy(), vacancy(-1).positions_A.copy()
    vectors = first - 13.08 * np.rint(first / 13.08)
    nearest = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")[:4]
    first[nearest[0]] += 0.10 * vectors[nearest[0]]
    second[nearest[2]] += 0.12 * vectors[nearest[2]]
    initial = vacancy(0).moved(first, origin=Origin.MINIMUM)
    final = vacancy(-1).moved(second, origin=Origin.MINIMUM)
    path = configuration_path(initial, final, points=3, extend=0.0)
    mass, total = atomic_masses[52], atomic_masses[initial.numbers].sum()
    arm = 0.02 * 0.25 * np.sqrt(3) * 6.54
    assert path.dQ_amu05_A == pytest.approx(arm * np.sqrt(mass * (1 - mass / total)), rel=1e-3)


def test_path_back_has_the_same_length(ends):
    initial, final = ends
    forth = configuration_path(initial, final, points=5, extend=0.0)
    back = configuration_path(final, initial, points=5, extend=0.0)
    assert forth.dQ_amu05_A == pytest.approx(back.dQ_amu05_A, rel=1e-9)


def test_what_is_no_path_is_refused(ends, vacancy):
    initial, final = ends

    def path(first, second):
        return configuration_path(first, second, points=5, extend=0.0)

    with pytest.raises(ThermoError, match="same geometry"):
        path(initial, initial.recharged(-1, origin=Origin.MINIMUM))
    with pytest.raises(ThermoError, match="not one electron apart"):
        path(initial, vacancy(-2))
    with pytest.raises(ThermoError, match="different cells"):
        path(initial, replace(final, cell_A=1.01 * final.cell_A))
