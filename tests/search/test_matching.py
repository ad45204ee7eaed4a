"""Structure matching, the merging of minima, and the recovery of known ones."""

import dataclasses
import time

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from defectscape.domain.errors import SearchError
from defectscape.domain.family import UNPERTURBED
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.minimum import CONVERGED, Relaxation
from defectscape.search.matching import displacements_A, host_operations, identity, match, rmsd_A
from defectscape.search.merging import lowest_including_doubtful, merge
from defectscape.search.relaxation import UNKNOWN_REGION, nudged, relax, relax_all
from defectscape.search.symmetry import point_group
from defectscape.search.verification_criterion import first_to_verify
from defectscape.settings.search import MinimaSettings
from defectscape.tools.recovery import recover
from defectscape.tools.surfaces import AseSurface, charge_response

# Structure matching: invariant under symmetry, order and drift; a metric otherwise.


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


# Merging: copies become one minimum, different minima stay apart, nothing depends on order.


SETTINGS = MinimaSettings()


@pytest.fixture(scope="module")
def operations(copper):
    return host_operations(copper, (0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def relaxations(dumbbell, emt, search):
    """Bent dumbbells fall to three of the six octahedral sites around the origin; a straight one
    stays on its saddle point, 0.12 eV above."""
    starts = [
        dumbbell((1, 0, 0), 0.05, 2, "unperturbed"),
        dumbbell((0, 1, 0), 0.05, 2),
        dumbbell((0, 0, 1), 0.05, 2),
        dumbbell((1, 0, 0), 0.0, note="straight"),
    ]
    return tuple(relax(start, emt, search) for start in starts)


def _made(frame, energy_eV, note="", converged=True, reason=CONVERGED):
    start = dataclasses.replace(frame, note=note)
    final = start.moved(frame.positions_A, origin=Origin.MINIMUM, note=note)
    return Relaxation(start, final, (), energy_eV, (energy_eV,), 0.01, 0.0, 5, converged, reason)


def _shifted(frame, atom, amount_A):
    positions = frame.positions_A.copy()
    positions[atom] += [amount_A, 0.0, 0.0]
    return frame.moved(positions, origin=Origin.MINIMUM)


def test_symmetry_copies_merge_and_another_minimum_does_not(relaxations, operations):
    assert all(relaxation.converged for relaxation in relaxations)
    minima = merge(relaxations, operations, SETTINGS)
    assert [minimum.rank for minimum in minima] == list(range(len(minima)))
    assert len(minima) == 2
    lowest, above = minima
    assert lowest.found_from == ("along (0, 0, 1)", "along (0, 1, 0)", "unperturbed")
    assert lowest.from_unperturbed
    assert point_group(lowest.frame, 0.1) == "Oh"
    assert above.found_from == ("straight",)
    assert not above.from_unperturbed
    assert point_group(above.frame, 0.1) == "D4h"
    assert above.energy_eV > lowest.energy_eV + SETTINGS.merge_energy_eV
    assert rmsd_A(above.frame, lowest.frame, operations) > SETTINGS.merge_rmsd_A


def test_the_order_of_relaxations_does_not_matter(relaxations, operations):
    there = merge(relaxations, operations, SETTINGS)
    back = merge(relaxations[::-1], operations, SETTINGS)
    assert [m.frame.frame_id for m in there] == [m.frame.frame_id for m in back]
    assert [m.found_from for m in there] == [m.found_from for m in back]


def test_energy_alone_and_structure_alone_do_not_merge(vacancy, operations):
    same_structure = [_made(vacancy, 0.0), _made(vacancy, 0.1)]
    far = _shifted(vacancy, 3, 0.8)
    same_energy = [_made(vacancy, 0.0), _made(far, 0.0)]
    assert len(merge(same_structure, operations, SETTINGS)) == 2
    assert len(merge(same_energy, operations, SETTINGS)) == 2
    assert len(merge([_made(vacancy, 0.0), _made(vacancy, 0.01)], operations, SETTINGS)) == 1


def test_only_converged_relaxations_inside_the_window_are_listed(vacancy, operations):
    far, failed = _shifted(vacancy, 3, 0.8), _made(vacancy, -9.0, UNPERTURBED, converged=False)
    broken = _made(vacancy, np.nan, "broken", converged=False)
    found = [failed, broken, _made(vacancy, 0.0), _made(far, SETTINGS.window_eV + 0.01)]
    minima = merge(found, operations, SETTINGS)
    assert [minimum.energy_eV for minimum in minima] == [0.0]
    assert not minima[0].from_unperturbed
    assert merge([failed], operations, SETTINGS) == ()
    assert merge([], operations, SETTINGS) == ()


def test_where_the_committee_disagrees_is_a_minimum_that_hides_no_other(vacancy, operations):
    frames = [vacancy, *(_shifted(vacancy, atom, 0.8) for atom in (3, 5, 7, 9))]
    energies = (-SETTINGS.window_eV - 0.2, -0.1, 0.0, 0.3, SETTINGS.window_eV + 0.01)
    reasons = (UNKNOWN_REGION, UNKNOWN_REGION, CONVERGED, CONVERGED, CONVERGED)
    found = [_made(*each[:2], reason=each[2]) for each in zip(frames, energies, reasons, strict=True)]
    minima = merge(found, operations, SETTINGS)
    # The window begins at the lowest one that the committee agrees on.
    assert [minimum.energy_eV for minimum in minima] == list(energies[:4])
    assert [minimum.doubtful for minimum in minima] == [True, True, False, False]
    # The engine is asked of the lowest, and of the lowest that is not doubtful.
    assert [minimum.rank for minimum in lowest_including_doubtful(minima, 1)] == [0, 2]
    assert [minimum.rank for minimum in lowest_including_doubtful(minima, 2)] == [0, 1, 2, 3]
    assert [minimum.rank for minimum in lowest_including_doubtful(minima[2:], 1)] == [2]
    (alone,) = merge(found[:1], operations, SETTINGS)
    assert lowest_including_doubtful([alone], 1) == [alone]
    assert lowest_including_doubtful([], 1) == []


def test_the_lowest_member_represents_its_minimum(vacancy, operations):
    found = [_made(_shifted(vacancy, 3, 0.01), 0.001, "b"), _made(vacancy, 0.0, "a")]
    (minimum,) = merge(found, operations, SETTINGS)
    assert (minimum.energy_eV, minimum.found_from) == (0.0, ("a", "b"))
    assert minimum.frame.frame_id == found[1].final.frame_id


def test_charge_states_are_never_merged(vacancy, operations):
    other = vacancy.recharged(-1, origin=Origin.START)
    with pytest.raises(SearchError, match="v_Cu_-1, v_Cu_0"):
        merge([_made(vacancy, 0.0), _made(other, 0.0)], operations, SETTINGS)


def test_the_minimum_nearest_to_the_lowest_known_structure_is_verified_first(relaxations, operations, dumbbell):
    minima = merge(relaxations, operations, SETTINGS)

    def ranks(known):
        return [m.rank for m in first_to_verify(minima, 1, known, operations)]

    assert ranks(None) == [0]
    # Symmetry copies of the starts: along another axis.
    assert ranks(dumbbell((0, 0, 1), 0.0)) == [1, 0]
    assert ranks(relaxations[2].final) == [0]
    assert first_to_verify((), 1, relaxations[0].final, operations) == []


# Recovery of reference minima: symmetry, order and drift do not matter, structure does.


@pytest.fixture(scope="module")
def relaxed(vacancy, search):
    starts = [vacancy, nudged(vacancy, 1, 0.1), nudged(vacancy, 2, 0.2)]
    return relax_all(starts, AseSurface(EMT), search.model_copy(update={"batch_size": 1}))


def moved(frame, positions):
    return frame.moved(positions, origin=Origin.MINIMUM)


def test_its_own_minimum_is_recovered_by_every_start(relaxed, operations) -> None:
    found = recover(relaxed, [relaxed[0].final], operations, MinimaSettings())
    assert (found.starts, found.converged, found.starts_at_ground_state) == (3, 3, 3)
    assert found.finds_ground_state
    assert found.rmsd_A < 0.02
    assert found.distinct_minima == 1


def test_drift_and_a_mirror_image_are_the_same_structure(relaxed, operations) -> None:
    final = relaxed[1].final
    mirrored = final.positions_A * [-1, 1, 1] + [0.1, -0.2, 0.3]
    found = recover(relaxed, [moved(final, mirrored)], operations, MinimaSettings())
    assert found.rmsd_A < 0.02
    assert found.finds_ground_state


def test_another_structure_is_not_found(relaxed, operations) -> None:
    final = relaxed[0].final
    other = final.positions_A.copy()
    other[0] += [1.0, 0.3, 0.0]
    found = recover(relaxed, [moved(final, other), final], operations, MinimaSettings())
    assert not found.finds_ground_state
    assert found.rmsd_A > 0.1
    assert found.starts_at_ground_state == 0
    assert found.nearest_A[0] == pytest.approx(found.rmsd_A)
    assert found.nearest_A[1] < 0.02


def test_failures_are_counted_with_their_reasons(vacancy, search, operations, relaxed) -> None:
    limits = search.model_copy(update={"max_steps": 1, "batch_size": 1})
    short = relax_all([nudged(vacancy, 3, 0.15)], AseSurface(EMT), limits)
    found = recover(short, [relaxed[0].final], operations, MinimaSettings())
    assert found.failures == (("step limit", 1),)
    assert (found.rmsd_A, found.nearest_A, found.finds_ground_state) == (None, (None,), False)


def test_keys_are_not_mixed(relaxed, operations) -> None:
    other = relaxed[0].final.recharged(1, origin=Origin.MINIMUM)
    with pytest.raises(SearchError, match=r"v_Cu_\+1, v_Cu_0"):
        recover(relaxed, [other], operations, MinimaSettings())
    with pytest.raises(SearchError, match="Give both"):
        recover(relaxed, [], operations, MinimaSettings())


class Charged(EMT):
    """EMT in a field that the charge feels: it reads ``info`` as charge-aware calculators do."""

    def calculate(self, atoms=None, *args, **kwargs):
        super().calculate(atoms, *args, **kwargs)
        self.results["energy"] += 0.3 * atoms.info["charge"]
        self.results["forces"] = self.results["forces"] + 0.1 * atoms.info["charge"]


def test_blindness_is_exactly_zero_and_sight_is_not(vacancy) -> None:
    assert charge_response(AseSurface(EMT), vacancy, (-2, 0, 1)) == (0.0, 0.0)
    energy, force = charge_response(AseSurface(Charged), vacancy, (-2, 0, 1))
    assert energy == pytest.approx(0.9)
    assert force == pytest.approx(0.3)


def test_a_calculator_that_raises_is_a_recorded_failure(vacancy, search) -> None:
    class Broken(EMT):
        def calculate(self, *args, **kwargs):
            raise ValueError("isolated\natom")

    (found,) = relax_all([vacancy], AseSurface(Broken), search.model_copy(update={"batch_size": 1}))
    assert found.reason == "calculation failed: ValueError: isolated atom"
    assert np.isnan(found.energy_eV)
