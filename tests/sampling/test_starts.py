"""Starts: unperturbed first, independent rattles, the same families in every charge state."""

import logging

import numpy as np
import pytest

from defectscape.sampling.contacts import displacements_A, shortest_distance_A
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import closest_atom, defect_frame
from defectscape.sampling.starts import distorted_neighbours, make_starts

SEED = 7


def starts_of(host, sites, name, charge, sampling, seed=SEED):
    return make_starts(host, pick_site(sites, name), charge, sampling, seed)


def moves(start, reference):
    return displacements_A(reference.positions_A, start.positions_A, reference.cell_A)


def by_family(starts):
    return {start.family.partition("/")[2]: start for start in starts}


@pytest.mark.parametrize("name", ["v_Cd", "Te_Cd", "i_Cd_1"])
def test_every_kind_of_defect_gets_all_its_starts(cdte, cdte_sites, sampling, name):
    starts = starts_of(cdte, cdte_sites, name, 0, sampling)
    unperturbed = defect_frame(cdte, pick_site(cdte_sites, name), 0)
    assert starts[0].frame_id == unperturbed.frame_id
    assert starts[0].positions_A.tobytes() == unperturbed.positions_A.tobytes()
    expected = {"unperturbed", "bond-40%", "bond-20%", "bond+20%", "bond+40%", "dimer", "rattle"}
    assert set(by_family(starts)) <= expected
    assert len(starts) >= 6
    assert len({start.frame_id for start in starts}) == len(starts)
    for start in starts:
        assert np.array_equal(start.numbers, unperturbed.numbers)
        assert shortest_distance_A(start.positions_A, start.cell_A) >= 1.5
        assert np.abs(moves(start, unperturbed)).max() < 3.0


def test_shortening_shortens_the_bonds_of_the_ruled_number_of_neighbours(cdte, cdte_sites, sampling):
    site = pick_site(cdte_sites, "v_Cd")
    assert distorted_neighbours(cdte, site, 0) == 2
    start = by_family(make_starts(cdte, site, 0, sampling, SEED))["bond-40%"]
    place = np.array(site.frac_coords) @ cdte.cell_A
    gaps = displacements_A(np.broadcast_to(place, start.positions_A.shape), start.positions_A, cdte.cell_A)
    bond = 6.62 * 3**0.5 / 4
    distances = np.sort(np.linalg.norm(gaps, axis=1))
    assert np.allclose(distances[:2], 0.6 * bond, atol=1e-6)
    assert distances[2] > 0.8 * bond
    assert start.note == "bond distortion -40%"


def test_neighbours_follow_the_missing_electrons(cdte, cdte_sites):
    cadmium = pick_site(cdte_sites, "v_Cd")
    counts = {charge: distorted_neighbours(cdte, cadmium, charge) for charge in (1, 0, -1, -2)}
    # Cd2+ leaves two holes; the full shell of the -2 state distorts all four neighbours instead.
    assert counts == {1: 3, 0: 2, -1: 1, -2: 4}
    assert distorted_neighbours(cdte, pick_site(cdte_sites, "v_Te"), 0) == 2
    assert distorted_neighbours(cdte, pick_site(cdte_sites, "Te_Cd"), 2) == 2


def test_the_dimer_start_holds_a_new_short_contact(cdte, cdte_sites, sampling):
    starts = by_family(starts_of(cdte, cdte_sites, "v_Cd", 0, sampling))
    dimer = starts["dimer"]
    tellurium = np.flatnonzero(dimer.numbers == 52)

    def closest(frame):
        return shortest_distance_A(frame.positions_A[tellurium], frame.cell_A)

    assert closest(starts["unperturbed"]) == pytest.approx(6.62 / 2**0.5)
    assert 2.5 < closest(dimer) < 3.0


def test_rattles_of_different_distortions_are_independent(cdte, cdte_sites, sampling):
    starts = by_family(starts_of(cdte, cdte_sites, "v_Cd", 0, sampling))
    reference = starts["unperturbed"]
    place = np.array(pick_site(cdte_sites, "v_Cd").frac_coords) @ cdte.cell_A
    first, second = moves(starts["bond-20%"], reference), moves(starts["bond+20%"], reference)
    far = displacements_A(np.broadcast_to(place, reference.positions_A.shape), reference.positions_A, cdte.cell_A)
    rattled = np.linalg.norm(far, axis=1) > 3.5
    one, two = first[rattled].ravel(), second[rattled].ravel()
    assert one.std() == pytest.approx(0.1, rel=0.35)
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.35


def test_charges_have_the_same_families_and_rattles_of_their_own(cdte, cdte_sites, sampling):
    neutral = by_family(starts_of(cdte, cdte_sites, "v_Cd", 0, sampling))
    negative = by_family(starts_of(cdte, cdte_sites, "v_Cd", -2, sampling))
    assert set(neutral) == set(negative)
    assert np.array_equal(neutral["unperturbed"].positions_A, negative["unperturbed"].positions_A)
    assert not np.allclose(neutral["rattle"].positions_A, negative["rattle"].positions_A)


def test_starts_depend_on_nothing_but_their_own_name(cdte, cdte_sites, sampling):
    before = starts_of(cdte, cdte_sites, "v_Cd", 0, sampling)
    starts_of(cdte, cdte_sites, "v_Cd", -1, sampling)
    more = sampling.model_copy(update={"bond_distortions": [0.3, -0.4, -0.2, 0.2, 0.4]})
    after = by_family(starts_of(cdte, cdte_sites, "v_Cd", 0, more))
    for start in before:
        again = after[start.family.partition("/")[2]]
        assert again.positions_A.tobytes() == start.positions_A.tobytes()
    assert "bond+30%" in after
    other = by_family(starts_of(cdte, cdte_sites, "v_Cd", 0, sampling, seed=8))
    assert other["rattle"].frame_id != after["rattle"].frame_id


def test_overlapping_starts_are_dropped_with_a_warning(cdte, cdte_sites, sampling, caplog):
    strict = sampling.model_copy(update={"bond_distortions": [-0.8, 0.2], "shortest_distance_A": 2.5, "dimers": False})
    with caplog.at_level(logging.WARNING):
        starts = starts_of(cdte, cdte_sites, "v_Cd", 0, strict)
    assert "bond-80%" not in by_family(starts)
    assert "bond distortion -80% of v_Cd_0 dropped" in caplog.text
    impossible = sampling.model_copy(update={"shortest_distance_A": 2.9})
    assert [start.note for start in starts_of(cdte, cdte_sites, "v_Cd", 0, impossible)] == ["unperturbed"]


def test_an_added_atom_is_the_centre_of_its_distortion(cdte, cdte_sites, sampling):
    site = pick_site(cdte_sites, "As_Te")
    starts = by_family(make_starts(cdte, site, 0, sampling, SEED))
    place = np.array(site.frac_coords) @ cdte.cell_A
    for label in ("bond-20%", "bond+20%"):
        frame = starts[label]
        index = closest_atom(frame.positions_A, frame.cell_A, place)
        assert frame.numbers[index] == 33
        assert np.allclose(frame.positions_A[index], place, atol=1e-6)
