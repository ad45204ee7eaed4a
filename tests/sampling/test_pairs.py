"""Pairs of point defects: names, symmetry-distinct arrangements counted by brute force, starts, and recognition."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import spglib
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.errors import DefectError
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.domain.spelling import PairName, is_ours, our_name, pair_fault, parse_pair, point_names, turned
from defectscape.sampling.charge_states import propose_charges
from defectscape.sampling.electrons import missing_electrons, mixed_spins
from defectscape.sampling.further_starts import FurtherSampling
from defectscape.sampling.host import build_host
from defectscape.sampling.identification import check_atoms, identify
from defectscape.sampling.pairs import arrangements, carried, pair_site, partner_distance_A, with_pairs
from defectscape.sampling.sites import defect_frame, enumerate_sites
from defectscape.sampling.starts import make_starts
from defectscape.search.reconstruction import reconstruction
from defectscape.search.symmetry import point_group
from defectscape.settings.structure import SupercellSettings
from support.mistakes import mistake

# Names.


def test_a_pair_has_one_name_however_its_partners_are_ordered():
    assert parse_pair("v_Cd+Cl_Te") == PairName("v_Cd", "Cl_Te")
    assert parse_pair("v_Sb_1+Cl_Te_2_shell3b") == PairName("v_Sb_1", "Cl_Te_2", 3, "b")
    assert turned("Cl_Te+v_Cd") == turned("v_Cd+Cl_Te_shell1") == "v_Cd+Cl_Te"
    assert turned("i_Cl_1+Cl_Te_shell2a") == "Cl_Te+i_Cl_1_shell2a"
    assert turned("Cu_i+v_Cd") == "v_Cd+i_Cu"
    assert our_name("Vac_Cd+as_1_Cl_on_Te_shell2") == "v_Cd+Cl_Te_shell2"
    assert is_ours("v_Cd+Cl_Te_shell2")
    assert not is_ours("Cl_Te+v_Cd")
    assert point_names(["v_Te", "v_Cd+Cl_Te_shell2"]) == ("v_Te", "v_Cd", "Cl_Te")
    assert parse_pair("v_Cd") is None
    key = DefectKey.parse("v_Cd+Cl_Te_shell2_+1")
    assert (key.defect, key.charge, str(key)) == ("v_Cd+Cl_Te_shell2", 1, "v_Cd+Cl_Te_shell2_+1")


@pytest.mark.parametrize(
    ("name", "telling"),
    [
        ("v_Cd+Cl_Te+Cl_Te", "two point defects"),
        ("v_Cd+", "two point defects"),
        ("host+host", "the perfect crystal"),
        ("v_Cd+Cl_Te_shell0", "count from 1"),
        ("v_Cd+Cl_Te_shell100", "no supercell"),
    ],
)
def test_names_of_no_pair_are_told(name: str, telling: str):
    assert telling in (pair_fault(name) or "")
    assert pair_fault("v_Cd+Cl_Te_shell99") is None


# Arrangements.


CRYSTALS = {
    "zincblende": (
        Structure.from_spacegroup("F-43m", Lattice.cubic(6.62), ["Cd", "Te"], [[0, 0, 0], [0.25] * 3]),
        [2, 2, 2],
    ),
    "wurtzite": (
        Structure.from_spacegroup(
            "P6_3mc", Lattice.hexagonal(3.25, 5.207), ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.3819]]
        ),
        [3, 3, 2],
    ),
    "rocksalt": (
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.21), ["Mg", "O"], [[0, 0, 0], [0.5] * 3]),
        [2, 2, 2],
    ),
    "rutile": (
        Structure.from_spacegroup(
            "P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0] * 3, [0.305, 0.305, 0]]
        ),
        [2, 2, 3],
    ),
}


@cache
def crystal(name: str) -> tuple[HostCrystal, dict[str, DefectSite]]:
    structure, repeats = CRYSTALS[name]
    host = build_host(structure, SupercellSettings(matrix=np.diag(repeats).tolist(), min_image_distance_A=3.0))
    return host, {site.name: site for site in enumerate_sites(host)}


@cache
def permutations_of(name: str) -> np.ndarray:
    """Where every operation of the supercell, translations included, takes each atom, shape (operations, atoms)."""
    host, _ = crystal(name)
    fracs = host.positions_A @ np.linalg.inv(host.cell_A)
    found = spglib.get_symmetry((host.cell_A, fracs, host.numbers), symprec=0.01)
    rows = []
    for rotation, translation in zip(found["rotations"], found["translations"], strict=True):
        gaps = (fracs @ rotation.T + translation)[:, None] - fracs[None]
        gaps -= np.rint(gaps)
        rows.append(np.linalg.norm(gaps @ host.cell_A, axis=2).argmin(axis=1))
    return np.array(rows)


def by_brute_force(name: str, first: str, second: str, alike: bool) -> list[tuple[float, int]]:
    """Distance and number per primitive cell of every class of pairs of atoms closer than half the images."""
    host, _ = crystal(name)
    moves = permutations_of(name)
    gaps = (host.positions_A[:, None] - host.positions_A[None]) @ np.linalg.inv(host.cell_A)
    away = np.linalg.norm((gaps - np.rint(gaps)) @ host.cell_A, axis=2)
    elements = {"Cd": 48, "Te": 52, "Zn": 30, "O": 8, "Mg": 12, "Ti": 22}
    ones, others = host.numbers == elements[first], host.numbers == elements[second]
    near = (away > 1.0) & (away < host.min_image_distance_A / 2 - 0.1) & ones[:, None] & others[None, :]
    left = {(int(i), int(j)) for i, j in np.argwhere(near)}
    # Translations of the supercell's lattice alone leave every atom: the others tell its primitive cells.
    cells = len({tuple(row) for row in moves}) // len(
        spglib.get_symmetry_dataset(
            spglib.find_primitive((host.cell_A, host.positions_A @ np.linalg.inv(host.cell_A), host.numbers))
        ).rotations
    )
    found = []
    while left:
        i, j = min(left)
        orbit = set(zip(moves[:, i].tolist(), moves[:, j].tolist(), strict=True))
        if alike:
            orbit |= {(b, a) for a, b in orbit}
        left -= orbit
        found.append((round(float(away[i, j]), 3), len(orbit) // (2 if alike else 1) // cells))
    return sorted(found)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("zincblende", "Cd", "Te"),
        ("zincblende", "Cd", "Cd"),
        ("wurtzite", "Zn", "O"),
        ("wurtzite", "Zn", "Zn"),
        ("rocksalt", "Mg", "O"),
        ("rocksalt", "Mg", "Mg"),
        ("rutile", "O", "Ti"),
        ("rutile", "O", "O"),
    ],
)
def test_arrangements_are_those_of_every_pair_under_every_operation(name: str, first: str, second: str):
    host, sites = crystal(name)
    one, other = sites[f"v_{first}"], sites[f"v_{second}"]
    found = arrangements(host, one, other, host.min_image_distance_A / 2 - 0.1)
    ours = sorted((round(row.distance_A, 3), row.multiplicity) for row in found)
    assert ours == by_brute_force(name, first, second, first == second)
    # Around one site: every partner counted, an alike pair from both its ends.
    for row in found:
        assert row.orientations * one.multiplicity == row.multiplicity * (2 if first == second else 1)


def test_shells_are_counted_from_the_nearest_and_lettered_where_symmetry_parts_them():
    host, sites = crystal("zincblende")
    rows = arrangements(host, sites["v_Cd"], sites["Cd_Te"], 6.0)
    assert [(row.shell, row.letter, round(row.distance_A, 2), row.orientations) for row in rows] == [
        (1, "", 2.87, 4),
        (2, "", 5.49, 12),
    ]
    host, sites = crystal("wurtzite")
    nearest = [row for row in arrangements(host, sites["v_Zn"], sites["v_O"], 4.0) if row.shell == 1]
    # Along the axis, and beside it: their distances differ by 0.01 A.
    assert [(row.letter, row.orientations, row.multiplicity) for row in nearest] == [("a", 1, 2), ("b", 3, 6)]


# Sites.


@cache
def cdte_with_pairs() -> tuple[HostCrystal, tuple[DefectSite, ...]]:
    host, _ = crystal("zincblende")
    sites = enumerate_sites(host, interstitials=True, extrinsic=("Cl",))
    names = ["v_Cd+Cl_Te", "Cl_Te+v_Cd", "v_Cd+Cl_Te_shell2", "v_Te+Te_Cd", "v_Cd+i_Cd_1", "v_Cd+v_Cd"]
    return host, with_pairs(host, sites, names)


def named(name: str) -> tuple[HostCrystal, DefectSite]:
    host, sites = cdte_with_pairs()
    return host, next(site for site in sites if site.name == name)


def test_a_pair_is_placed_in_the_supercell_with_its_atoms():
    host, sites = cdte_with_pairs()
    assert [site.name for site in sites if site.partners] == [
        "v_Cd+Cl_Te",
        "v_Cd+Cl_Te_shell2",
        "v_Te+Te_Cd",
        "v_Cd+i_Cd_1",
        "v_Cd+v_Cd",
    ]
    _, pair = named("v_Cd+Cl_Te")
    assert pair.changes == {"Cd": -1, "Cl": 1, "Te": -1}
    assert partner_distance_A(host, pair) == pytest.approx(6.62 * np.sqrt(3) / 4, abs=1e-6)
    assert (pair.multiplicity, pair.orientations) == (4, 4)
    frame = defect_frame(host, pair, -1)
    check_atoms(host, frame.numbers, pair.changes)
    assert (len(frame), int((frame.numbers == 17).sum())) == (len(host.numbers) - 1, 1)
    # The whole is as symmetric as four orientations of a site of Td, and twelve, allow.
    assert point_group(frame, 0.05) == "C3v"
    _, further = named("v_Cd+Cl_Te_shell2")
    assert (point_group(defect_frame(host, further, 0), 0.05), further.multiplicity) == ("Cs", 12)
    # Two vacancies of one kind: twelve neighbours, and each pair is seen from both of its ends.
    _, alike = named("v_Cd+v_Cd")
    assert (alike.orientations, alike.multiplicity, alike.changes) == (12, 6, {"Cd": -2})
    assert named("v_Cd+i_Cd_1")[1].changes == {}


def test_what_a_supercell_does_not_hold_and_what_is_ambiguous_is_told():
    host, sites = cdte_with_pairs()
    points = [site for site in sites if not site.partners]
    with pytest.raises(DefectError, match=r"shell4'.* apart, and half the distance .* is 6\.62 A") as caught:
        pair_site(host, points, "v_Cd+Cl_Te_shell4")
    assert "v_Cd+Cl_Te (2.87 A, 4 ways) or v_Cd+Cl_Te_shell2 (5.49 A, 12 ways)" in str(caught.value)
    with pytest.raises(DefectError, match=r"has one such arrangement. Write v_Cd\+Cl_Te \("):
        pair_site(host, points, "v_Cd+Cl_Te_shell1b")
    with pytest.raises(DefectError, match=r"partner of v_Cd\+i_Cd: 'i_Cd'.*3 such sites"):
        pair_site(host, points, "v_Cd+i_Cd")
    zno, of_zno = crystal("wurtzite")
    with pytest.raises(DefectError, match=r"shell1a \(1\.99 A, 1 way\) or v_O\+v_Zn_shell1b \(1\.97 A, 3 ways\)"):
        pair_site(zno, list(of_zno.values()), "v_Zn+v_O")


def test_a_pair_keeps_its_name_and_its_atoms_when_the_host_relaxes():
    """The letters follow the host's file: in the relaxed one the bond along the axis is the longer or the shorter."""
    given, sites = crystal("wurtzite")
    structure, repeats = CRYSTALS["wurtzite"]
    other = structure.copy()
    for index, site in enumerate(structure):
        if site.specie.symbol == "O":
            other.translate_sites([index], [0, 0, -0.006])
    host = build_host(other, SupercellSettings(matrix=np.diag(repeats).tolist(), min_image_distance_A=3.0))
    (axial,) = with_pairs(given, list(sites.values()), ["v_O+v_Zn_shell1a"])[len(sites) :]
    (moved,) = carried([axial], given, host, enumerate_sites(host))
    assert (moved.name, moved.multiplicity) == (axial.name, axial.multiplicity)
    first, second = (np.asarray(point.frac_coords) for point in moved.partners)
    assert np.allclose((second - first)[:2], 0, atol=1e-6)
    assert partner_distance_A(host, moved) == pytest.approx((0.3819 - 0.006) * 5.207, abs=1e-4)


# Charges, starts and recognition.


def test_charges_go_from_the_ions_of_both_partners_to_one_beyond_neutral():
    host, sites = cdte_with_pairs()
    proposed = {found.site.name: found for found in propose_charges(host, sites)}
    _, pair = named("v_Cd+Cl_Te")
    assert missing_electrons(host, pair, -1) == 0
    assert missing_electrons(host, pair, 0) == 1
    assert proposed["v_Cd+Cl_Te"].charges == (1, 0, -1)
    assert proposed["v_Cd+v_Cd"].charges == (1, 0, -1, -2, -3, -4)
    assert proposed["v_Cd"].charges == (1, 0, -1, -2)
    assert "add up to -1" in proposed["v_Cd+Cl_Te"].reason


def test_neighbours_of_both_partners_are_distorted_and_no_partner_is_moved(sampling):
    host, pair = named("v_Cd+Cl_Te")
    unperturbed, *starts = make_starts(host, pair, 0, sampling, seed=1)
    assert unperturbed.note == "unperturbed"
    assert len({start.family for start in starts}) == len(starts) > 4
    places = [np.asarray(point.frac_coords) @ host.cell_A for point in pair.partners]

    def away_A(frame, place):
        gaps = (frame.positions_A - place) @ np.linalg.inv(host.cell_A)
        return np.linalg.norm((gaps - np.rint(gaps)) @ host.cell_A, axis=1)

    chlorine = int(np.flatnonzero(unperturbed.numbers == 17)[0])
    bond_A = 6.62 * np.sqrt(3) / 4
    (start,) = [start for start in starts if start.note == "bond distortion -40%"]
    # One hole: one neighbour of each partner comes to 60% of its bond, chlorine stays where it is.
    for place in places:
        others = np.delete(away_A(start, place), chlorine)
        assert int(np.sum(np.abs(others - 0.6 * bond_A) < 0.01)) == 1
    assert np.allclose(start.positions_A[chlorine], unperturbed.positions_A[chlorine])


def test_an_added_partner_leaves_its_site_in_further_starts(sampling):
    host, sites = cdte_with_pairs()
    pair = pair_site(host, sites, "Cl_Te+Cl_Te")
    calm = sampling.model_copy(update={"start_rattle_A": 0.02})
    further = FurtherSampling(host, pair, 0, calm, 1, {})
    unperturbed = defect_frame(host, pair, 0)
    made = [start for number in range(4) if (start := further.off_site(number)) is not None]
    assert made
    chlorine = np.flatnonzero(unperturbed.numbers == 17)
    for start in made:
        steps_A = np.linalg.norm(start.positions_A - unperturbed.positions_A, axis=1)[chlorine]
        assert max(steps_A) > 0.4, "its bond's fifth at least"
        assert min(steps_A) < 0.15, "the other is rattled"
    _, holding = named("v_Cd+Cl_Te")
    split = FurtherSampling(host, holding, 0, calm, 1, {}).off_site(0)
    assert split is not None
    assert "split vacancy, Cd" in split.note


def test_spins_are_compared_for_the_same_atoms_alone():
    host, sites = cdte_with_pairs()
    names = ("v_Cd+Cl_Te", "v_Cd+Cl_Te_shell2", "v_Cd+v_Cd", "v_Te+Te_Cd", "v_Cd", "v_Te")
    keys = [DefectKey(name, 0) for name in names]
    assert mixed_spins(host, sites, keys, {}) == ()
    assert mixed_spins(host, sites, keys, {DefectKey("v_Cd+v_Cd", 0): 3}) == ()
    (told,) = mixed_spins(host, sites, keys, {keys[1]: 4})
    assert told.startswith("v_Cd+Cl_Te_0 (multiplicity 2), v_Cd+Cl_Te_shell2_0 (multiplicity 4): the same atoms")
    # A pair that has the atoms of a point defect may relax to it.
    (told,) = mixed_spins(host, sites, keys, {DefectKey("v_Cd", 0): 3})
    assert told.startswith("v_Te+Te_Cd_0 (multiplicity 1), v_Cd_0 (multiplicity 3): the same atoms")


def shaken(host, site, seed):
    """A pair's atoms rattled, in another order, shifted, and under an operation of the host's symmetry."""
    rng = np.random.default_rng(seed)
    frame = defect_frame(host, site, 0)
    order = rng.permutation(len(frame))
    positions = frame.positions_A[:, [1, 2, 0]] + rng.normal(0.0, 0.1, frame.positions_A.shape) + [0.3, 1.0, 2.0]
    return frame.numbers[order], positions[order]


@pytest.mark.parametrize("name", ["v_Cd+Cl_Te", "v_Cd+Cl_Te_shell2", "v_Cd+v_Cd"])
def test_two_point_changes_in_a_cell_are_the_pair_of_their_arrangement(name: str):
    host, sites = cdte_with_pairs()
    _, pair = named(name)
    numbers, positions_A = shaken(host, pair, seed=3)
    found = identify(host, sites, numbers, positions_A, host.cell_A)
    assert found.site == pair
    assert found.distance_A < 0.1
    assert np.array_equal(numbers[found.order], defect_frame(host, pair, 0).numbers)


def test_a_pair_with_the_atoms_of_something_else_is_taken_where_it_is_named():
    host, sites = cdte_with_pairs()
    _, hidden = named("v_Te+Te_Cd")
    numbers, positions_A = shaken(host, hidden, seed=4)
    assert identify(host, sites, numbers, positions_A, host.cell_A).site.name == "v_Cd"
    assert identify(host, [hidden], numbers, positions_A, host.cell_A, far_A=np.inf).site == hidden
    _, frenkel = named("v_Cd+i_Cd_1")
    numbers, positions_A = shaken(host, frenkel, seed=5)
    assert identify(host, [frenkel], numbers, positions_A, host.cell_A, far_A=np.inf).site == frenkel


def test_pairs_that_the_study_does_not_name_are_refused():
    host, sites = cdte_with_pairs()
    _, pair = named("v_Cd+Cl_Te_shell2")
    numbers, positions_A = shaken(host, pair, seed=6)
    others = [site for site in sites if site.name != pair.name]
    with pytest.raises(DefectError, match=r"v_Cd\+Cl_Te, in another arrangement") as other:
        identify(host, others, numbers, positions_A, host.cell_A)
    points = [site for site in sites if not site.partners]
    with pytest.raises(DefectError, match="a pair that the study names") as none:
        identify(host, points, numbers, positions_A, host.cell_A)
    mistake(
        "imports",
        "run of a pair of defects that the study does not name",
        said=(other.value, none.value),
        when="import",
        right="the pair among the study's defects",
    )


def test_what_a_pair_relaxed_to_is_named_by_its_arrangement():
    host, sites = cdte_with_pairs()
    _, near = named("v_Cd+Cl_Te")
    _, far = named("v_Cd+Cl_Te_shell2")
    found = reconstruction(host, sites, defect_frame(host, near, -1))
    assert (found.name, found.plain) == ("v_Cd+Cl_Te", True)
    as_far = replace(defect_frame(host, near, 0), key=DefectKey(far.name, 0))
    # Begun as the further pair, ended as the nearer one.
    found = reconstruction(host, sites, as_far)
    assert (found.name, found.plain) == ("v_Cd+Cl_Te", False)
