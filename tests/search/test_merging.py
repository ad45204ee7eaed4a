"""Merging: copies become one minimum, different minima stay apart, nothing depends on order."""

import dataclasses

import numpy as np
import pytest

from defectscape.domain.errors import SearchError
from defectscape.domain.family import UNPERTURBED
from defectscape.domain.frame import Origin
from defectscape.domain.minimum import CONVERGED, Relaxation
from defectscape.search.matching import host_operations, rmsd_A
from defectscape.search.merging import lowest_including_doubtful, merge
from defectscape.search.relaxation import UNKNOWN_REGION, relax
from defectscape.search.symmetry import point_group
from defectscape.search.verification_criterion import first_to_verify
from defectscape.settings.search import MinimaSettings

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
