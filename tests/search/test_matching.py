"""Structure matching: invariant under symmetry, order and drift; a metric otherwise."""

import time

import numpy as np
import pytest
from ase.build import bulk

from defectscape.domain.errors import SearchError
from defectscape.domain.frame import Frame, Origin
from defectscape.search.matching import displacements_A, host_operations, identity, match, rmsd_A


@pytest.fixture(scope="module")
def site_operations(cdte):
    return host_operations(cdte, (0.0, 0.0, 0.0))


def _rattled(frame, seed, std_A=0.1):
    noise = np.random.default_rng(seed).normal(0.0, std_A, frame.positions_A.shape)
    return frame.moved(frame.positions_A + noise, origin=Origin.RATTLE)


def _permuted(frame, seed):
    order = np.random.default_rng(seed).permutation(len(frame))
    return Frame(
        frame.numbers[order],
        frame.positions_A[order],
        frame.cell_A,
        frame.key,
        frame.multiplicity,
        frame.origin,
        frame.family,
    )


def _operated(frame, operations, number):
    fractional = frame.positions_A @ np.linalg.inv(frame.cell_A)
    moved = fractional @ operations.rotations[number].T + operations.translations[number]
    return frame.moved((moved % 1.0) @ frame.cell_A, origin=Origin.RATTLE)


def test_the_site_group_of_a_cadmium_in_zincblende_is_td(cdte, site_operations):
    everything = host_operations(cdte, None)
    assert len(site_operations) == 24
    assert len(everything) == 24 * 32


def test_an_elongated_supercell_keeps_only_what_maps_it_onto_itself(host_of):
    unit = bulk("CdTe", "zincblende", a=6.6, cubic=True)
    operations = host_operations(host_of(unit, (1, 1, 2)), (0.0, 0.0, 0.0))
    assert len(operations) == 8
    metric = operations.cell_A @ operations.cell_A.T
    for rotation in operations.rotations:
        assert np.allclose(rotation.T @ metric @ rotation, metric)


def test_symmetry_copies_are_the_same(v_cd, site_operations):
    frame = _rattled(v_cd, 1)
    for number in range(0, len(site_operations), 5):
        copy = _permuted(_operated(frame, site_operations, number), number)
        assert match(frame, copy, site_operations).max_displacement_A < 1e-6
        if number:
            assert rmsd_A(frame, copy, identity(frame.cell_A)) > 0.05


def test_a_copy_at_another_site_needs_all_operations(cdte, v_cd, site_operations):
    everything = host_operations(cdte, None)
    frame = _rattled(v_cd, 2)
    other = next(number for number, shift in enumerate(everything.translations) if np.abs(shift).max() > 0.2)
    copy = _operated(frame, everything, other)
    assert rmsd_A(frame, copy, everything) < 1e-6
    assert rmsd_A(frame, copy, site_operations) > 0.3


def test_drift_is_taken_out(cdte, v_cd, site_operations):
    frame = _rattled(v_cd, 3)
    drifted = frame.moved(frame.positions_A + np.array([0.7, -0.5, 0.4]), origin=Origin.RATTLE)
    far = frame.moved(frame.positions_A + np.array([2.9, 5.1, -1.3]), origin=Origin.RATTLE)
    assert rmsd_A(frame, drifted, site_operations) < 1e-9
    assert rmsd_A(frame, far, host_operations(cdte, None)) < 1e-9


@pytest.mark.parametrize("seed", range(6))
def test_the_distance_is_symmetric_and_invariant(v_cd, site_operations, seed):
    a, b = _rattled(v_cd, seed, 0.15), _rattled(v_cd, 100 + seed, 0.15)
    there, back = match(a, b, site_operations), match(b, a, site_operations)
    assert there.rmsd_A == pytest.approx(back.rmsd_A, abs=1e-6)
    moved = _permuted(_operated(b, site_operations, 7), seed)
    assert match(a, moved, site_operations).rmsd_A == pytest.approx(there.rmsd_A, abs=1e-6)
    assert there.rmsd_A <= there.max_displacement_A
    assert there.rmsd_A <= rmsd_A(a, b, identity(a.cell_A)) + 1e-12


def test_one_moved_atom_has_its_exact_rmsd(v_cd, site_operations):
    """One of n atoms moved by d: after the drift d/n is out, n rmsd^2 = d^2 (1 - 1/n)."""
    positions = v_cd.positions_A.copy()
    positions[40] += [0.3, 0.0, 0.0]
    found = match(v_cd, v_cd.moved(positions, origin=Origin.RATTLE), site_operations)
    count = len(v_cd)
    assert found.rmsd_A == pytest.approx(0.3 * np.sqrt((1 - 1 / count) / count), rel=1e-9)
    assert found.max_displacement_A == pytest.approx(0.3 * (1 - 1 / count), rel=1e-9)


def test_displacements_follow_the_order_of_the_reference(v_cd):
    positions = v_cd.positions_A.copy()
    positions[5] += [0.0, 0.4, 0.0]
    moves = displacements_A(v_cd, v_cd.moved(positions, origin=Origin.RATTLE))
    assert np.argmax(np.linalg.norm(moves, axis=1)) == 5
    assert moves[5, 1] == pytest.approx(0.4 * (1 - 1 / len(v_cd)))
    assert np.allclose(moves.sum(axis=0), 0.0, atol=1e-9)


def test_other_atoms_or_cells_are_refused(v_cd, vacancy, cdte, copper, site_operations):
    with pytest.raises(SearchError, match="other atoms"):
        match(v_cd, vacancy, site_operations)
    with pytest.raises(SearchError, match="cells differ"):
        match(vacancy, vacancy, site_operations)


def test_matching_is_fast(v_cd, site_operations):
    a, b = _rattled(v_cd, 8), _rattled(v_cd, 9)
    begin = time.process_time()
    match(a, b, site_operations)
    assert time.process_time() - begin < 0.3
