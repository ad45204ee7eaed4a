"""Starts of the search, which of them are relaxed, the pool around them, and its splits."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.errors import DefectError
from defectscape.domain.family import Split
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.sampling.candidates import candidates
from defectscape.sampling.host import build_host
from defectscape.sampling.lengths import Lengths, displacements_A, sampling_lengths, shortest_distance_A
from defectscape.sampling.pool import make_pool
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import closest_atom, defect_frame, enumerate_sites
from defectscape.sampling.splits import FEWEST_FAMILIES, assign_splits, starts_to_relax
from defectscape.sampling.starts import distorted_neighbours, make_starts
from defectscape.settings.effort import EFFORTS
from defectscape.settings.sampling import SamplingSettings
from defectscape.settings.structure import SupercellSettings

# Starts: unperturbed first, independent rattles, the same families in every charge state.


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


# Split vacancies and atoms off centre: geometry that no distortion of neighbours makes.


BOND_A = 6.62 * 3**0.5 / 4
CADMIUM_A = 6.62 / 2**0.5


@pytest.fixture(scope="module")
def wide(sampling):
    return sampling.model_copy(update={"split_vacancies": 2, "off_centre_A": 0.7})


def made(cdte, cdte_sites, name, settings):
    site = pick_site(cdte_sites, name)
    frame = defect_frame(cdte, site, 0)
    asked = settings.split_vacancies, settings.off_centre_A
    return (
        frame,
        site,
        {label: (note, xyz) for label, note, xyz in candidates(frame, site, *asked)},
    )


def test_a_split_vacancy_has_an_atom_half_way_between_two_empty_sites(cdte, cdte_sites, wide):
    frame, site, found = made(cdte, cdte_sites, "v_Cd", wide)
    assert list(found) == ["split1", "split2"]
    place = np.array(site.frac_coords) @ frame.cell_A
    for label, distance_A in (("split1", CADMIUM_A), ("split2", 6.62)):
        moves = displacements_A(frame.positions_A, found[label][1], frame.cell_A)
        (atom,) = np.flatnonzero(np.linalg.norm(moves, axis=1) > 1e-9)
        assert frame.numbers[atom] == 48
        assert np.linalg.norm(moves[atom]) == pytest.approx(distance_A / 2, abs=1e-6)
        from_vacancy = displacements_A(place[None], found[label][1][[atom]], frame.cell_A)
        assert np.linalg.norm(from_vacancy) == pytest.approx(distance_A / 2, abs=1e-6)


def test_an_atom_off_centre_moves_along_a_bond_both_ways(cdte, cdte_sites, wide):
    frame, site, found = made(cdte, cdte_sites, "Te_Cd", wide)
    assert set(found) == {"offcentre-toward", "offcentre-away"}
    atom = closest_atom(frame.positions_A, frame.cell_A, np.array(site.frac_coords) @ frame.cell_A)
    nearest = {}
    for label, (_, positions) in found.items():
        moves = displacements_A(frame.positions_A, positions, frame.cell_A)
        assert np.flatnonzero(np.linalg.norm(moves, axis=1) > 1e-9).tolist() == [atom]
        gaps = displacements_A(np.broadcast_to(positions[atom], positions.shape), positions, frame.cell_A)
        nearest[label] = np.sort(np.linalg.norm(gaps, axis=1))[1]
    assert nearest["offcentre-toward"] == pytest.approx(BOND_A - 0.7, abs=1e-6)
    assert nearest["offcentre-away"] > BOND_A - 0.3


def test_they_are_starts_with_families_of_their_own_in_every_charge(cdte, cdte_sites, wide, sampling):
    site = pick_site(cdte_sites, "v_Cd")
    for charge in (0, -2):
        starts = make_starts(cdte, site, charge, wide, 7)
        families = {start.family for start in starts}
        assert {"v_Cd/split1", "v_Cd/split2"} <= families
        plain = {start.frame_id for start in make_starts(cdte, site, charge, sampling, 7)}
        assert plain < {start.frame_id for start in starts}, "other starts have moved"
    note = next(s.note for s in starts if s.family == "v_Cd/split1")
    assert note == "split vacancy, Cd from 4.7 A"


def test_none_are_made_unless_asked_for(cdte, cdte_sites, sampling):
    for name in ("v_Cd", "Te_Cd", "i_Cd_1"):
        assert made(cdte, cdte_sites, name, sampling)[2] == {}


# Which starts are relaxed: in turn by split, the same families everywhere, never the perfect one.


NAMES = ("unperturbed", "bond-40%", "bond-20%", "bond+20%", "bond+40%", "dimer", "rattle")
SPLITS = {f"v_Cd/{name}": Split.TRAIN for name in NAMES} | {
    "v_Cd/dimer": Split.TEST,
    "v_Cd/rattle": Split.VALID,
}


def frames_named(charge: int = 0, names: tuple[str, ...] = NAMES) -> list[Frame]:
    key = DefectKey("v_Cd", charge)
    return [
        Frame([48, 52], np.eye(2, 3) * (3 + k), np.eye(3) * 9, key, 1, Origin.START, f"v_Cd/{name}")
        for k, name in enumerate(names)
    ]


def chosen(frames: list[Frame], count: int) -> list[str]:
    return [frame.family for frame in starts_to_relax(frames, SPLITS, count, 7)]


def test_train_and_held_out_families_take_turns() -> None:
    splits = [SPLITS[family] for family in chosen(frames_named(), 4)]
    assert splits == [Split.TRAIN, Split.TEST, Split.TRAIN, Split.VALID]


@pytest.mark.parametrize("count", [0, 1, 3, 6, 20])
def test_as_many_as_asked_for_each_once_and_never_the_unperturbed(count: int) -> None:
    families = chosen(frames_named(), count)
    assert len(families) == min(count, len(NAMES) - 1)
    assert len(set(families)) == len(families)
    assert "v_Cd/unperturbed" not in families


def test_all_charge_states_relax_the_same_families() -> None:
    assert chosen(frames_named(-2), 3) == chosen(frames_named(1), 3)


def test_the_order_of_the_others_does_not_depend_on_one_of_them() -> None:
    fewer = [name for name in NAMES if name != chosen(frames_named(), 6)[-1].rpartition("/")[2]]
    assert chosen(frames_named(names=tuple(fewer)), 5) == chosen(frames_named(), 5)


# The pool: starts and rattles around their way back, independent, without overlaps.


@pytest.fixture(scope="module")
def pool_starts(cdte, cdte_sites, sampling):
    return make_starts(cdte, pick_site(cdte_sites, "v_Cd"), 0, sampling, 3)


@pytest.fixture(scope="module")
def pool(cdte, pool_starts, sampling):
    return make_pool(pool_starts, pool_starts[0], sampling, cdte, 3)


def test_pool_is_the_starts_and_one_frame_per_fraction_and_amplitude(pool, pool_starts):
    assert pool[: len(pool_starts)] == pool_starts
    assert len(pool) == len(pool_starts) * (1 + 2 * 2)
    assert len({frame.frame_id for frame in pool}) == len(pool)
    families = {start.frame_id: start.family for start in pool_starts}
    for frame in pool[len(pool_starts) :]:
        assert frame.origin is Origin.RATTLE
        assert frame.family == families[frame.parent]


def test_pool_keeps_composition_cell_charge_and_distances(pool, pool_starts):
    for frame in pool:
        assert np.array_equal(frame.numbers, pool_starts[0].numbers)
        assert np.array_equal(frame.cell_A, pool_starts[0].cell_A)
        assert frame.key == pool_starts[0].key
        assert shortest_distance_A(frame.positions_A, frame.cell_A) >= 1.5


def test_amplitude_is_the_standard_deviation_of_the_displacements(cdte, pool_starts, sampling):
    only = sampling.model_copy(update={"rattle_amplitudes_A": [0.04], "relaxed_toward": []})
    start = pool_starts[1]
    rattled = make_pool([start], pool_starts[0], only, cdte, 3)[1]
    moves = displacements_A(start.positions_A, rattled.positions_A, start.cell_A)
    assert moves.std() == pytest.approx(0.04, rel=0.25)


def test_the_way_leads_to_the_unperturbed_geometry(cdte, pool_starts, sampling):
    tiny = sampling.model_copy(update={"rattle_amplitudes_A": [1e-4], "relaxed_toward": [0.5, 1.0]})
    start, middle, half, end = make_pool([pool_starts[1]], pool_starts[0], tiny, cdte, 3)
    assert np.allclose(middle.positions_A, start.positions_A, atol=1e-3)
    assert np.allclose(half.positions_A, (start.positions_A + pool_starts[0].positions_A) / 2, atol=1e-3)
    assert np.allclose(end.positions_A, pool_starts[0].positions_A, atol=1e-3)
    assert "50% toward unperturbed" in half.note


def test_frames_do_not_depend_on_the_rest_of_the_pool(cdte, pool, pool_starts, sampling):
    alone = make_pool([pool_starts[2]], pool_starts[0], sampling, cdte, 3)
    ids = {frame.frame_id for frame in pool}
    assert {frame.frame_id for frame in alone} <= ids
    again = make_pool(pool_starts, pool_starts[0], sampling, cdte, 3)
    for one, other in zip(pool, again, strict=True):
        assert one.positions_A.tobytes() == other.positions_A.tobytes()
    other_seed = make_pool(pool_starts, pool_starts[0], sampling, cdte, 4)
    assert {frame.frame_id for frame in other_seed} & ids == {start.frame_id for start in pool_starts}


def test_rattles_are_independent_of_each_other(pool, pool_starts):
    first, second = (frame for frame in pool if frame.parent == pool_starts[0].frame_id and "0.1 A" in frame.note)
    one = displacements_A(pool_starts[0].positions_A, first.positions_A, first.cell_A).ravel()
    two = displacements_A(pool_starts[0].positions_A, second.positions_A, second.cell_A).ravel()
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.35


def test_overlapping_rattles_are_dropped_with_a_warning(cdte, pool_starts, sampling, caplog):
    wild = sampling.model_copy(update={"rattle_amplitudes_A": [1.5], "relaxed_toward": [], "shortest_distance_A": 2.5})
    with caplog.at_level(logging.WARNING):
        assert make_pool(pool_starts[:1], pool_starts[0], wild, cdte, 3) == pool_starts[:1]
    assert "atoms too close" in caplog.text


# Splits: by family, stable, never empty.


def families(defect, count):
    return [f"{defect}/unperturbed", *(f"{defect}/bond{index:+d}%" for index in range(1, count))]


@pytest.mark.parametrize("count", [3, 4, 7, 12, 40])
def test_every_split_has_a_family_and_a_third_trains(sampling, count):
    splits = assign_splits(families("v_Cd", count), sampling, 1)
    held = list(splits.values())
    assert len(splits) == count
    assert held.count(Split.TEST) >= 1
    assert held.count(Split.VALID) >= 1
    assert held.count(Split.TRAIN) >= count / 3
    assert splits["v_Cd/unperturbed"] is Split.TRAIN


def test_fractions_round_up(sampling):
    held = list(assign_splits(families("v_Cd", 11), sampling, 1).values())
    assert (held.count(Split.TEST), held.count(Split.VALID)) == (3, 3)


@given(st.integers(0, 2**31), st.permutations(families("v_Cd", 9)))
def test_order_and_other_defects_change_nothing(sampling, seed, shuffled):
    alone = assign_splits(families("v_Cd", 9), sampling, seed)
    assert assign_splits(shuffled, sampling, seed) == alone
    both = assign_splits([*families("v_Te", 6), *shuffled, "host"], sampling, seed)
    assert {family: both[family] for family in alone} == alone
    assert both["host"] is Split.TRAIN


def test_the_seed_decides_who_is_held_out(sampling):
    chosen = {
        tuple(sorted(f for f, s in assign_splits(families("v", 9), sampling, seed).items() if s is Split.TEST))
        for seed in range(20)
    }
    assert len(chosen) > 5


def test_too_few_families_are_refused(sampling):
    with pytest.raises(DefectError, match="bond_distortions"):
        assign_splits(families("v_Cd", 2), sampling, 1)


@pytest.fixture(scope="module")
def mgo():
    rocksalt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.21), ["Mg", "O"], [[0, 0, 0], [0.5] * 3])
    return build_host(rocksalt, SupercellSettings(matrix=[[2, 0, 0], [0, 2, 0], [0, 0, 2]], min_image_distance_A=8.0))


def test_lengths_follow_the_bonds_of_the_crystal_unless_they_are_given(cdte, mgo):
    sampling = SamplingSettings(**EFFORTS["thorough"]["sampling"])
    wide, tight = sampling_lengths(sampling, cdte), sampling_lengths(sampling, mgo)
    bonds = (6.62 * 3**0.5 / 4, 4.21 / 2)
    for lengths, bond_A in zip((wide, tight), bonds, strict=True):
        assert lengths.start_rattle_A == pytest.approx(0.018 * bond_A, abs=1e-4)
        assert lengths.rattle_amplitudes_A == pytest.approx((0.01 * bond_A, 0.03 * bond_A), abs=1e-4)
        assert lengths.off_centre_A == pytest.approx(0.3 * bond_A, abs=1e-4)
    given = {"start_rattle_A": 0.1, "rattle_amplitudes_A": [0.2], "off_centre_A": 0.7}
    assert sampling_lengths(sampling.model_copy(update=given), mgo) == Lengths(0.1, (0.2,), 0.7)


@pytest.mark.parametrize("effort", EFFORTS)
def test_every_effort_leaves_starts_to_a_crystal_of_short_bonds(mgo, effort):
    sampling = SamplingSettings(**EFFORTS[effort]["sampling"])
    (site,) = (site for site in enumerate_sites(mgo) if site.name == "v_O")
    found = by_family(make_starts(mgo, site, 2, sampling, SEED))
    assert {"unperturbed", "rattle", "dimer"} < set(found)
    assert len(found) >= FEWEST_FAMILIES + 2
    # A limit that fits CdTe leaves nothing but expansions.
    fits_cdte = sampling.model_copy(update={"shortest_distance_A": 2.2})
    assert set(by_family(make_starts(mgo, site, 2, fits_cdte, SEED))) == {"unperturbed"}
