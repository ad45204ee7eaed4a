"""Sites keep their names, and structures from elsewhere are told apart by their atoms."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.errors import DefectError
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.sampling.host import build_host, read_unit_cell
from defectscape.sampling.identification import identify
from defectscape.sampling.orbits import crystal_symmetry, keep_names, nearest_image_A, place_in_cell
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import defect_frame, enumerate_sites
from defectscape.settings.structure import SupercellSettings
from support import ROOT
from support.mistakes import mistake

# A name is a site: interstitials keep theirs when the host is strained or its atoms relax in its symmetry.


SITE_A = 0.7
"""A site may drift so far with its surroundings; others are further away."""


def zincblende(a: float, _: float, __: float) -> Structure:
    return Structure.from_spacegroup("F-43m", Lattice.cubic(6.46 * a), ["Cd", "Te"], [[0, 0, 0], [0.25, 0.25, 0.25]])


def wurtzite(a: float, c: float, u: float) -> Structure:
    lattice = Lattice.hexagonal(3.25 * a, 5.207 * c)
    return Structure.from_spacegroup("P6_3mc", lattice, ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.3819 * u]])


def rutile(a: float, c: float, u: float) -> Structure:
    lattice = Lattice.tetragonal(4.594 * a, 2.959 * c)
    return Structure.from_spacegroup("P4_2/mnm", lattice, ["Ti", "O"], [[0, 0, 0], [0.305 * u, 0.305 * u, 0]])


CRYSTALS: dict[str, tuple[Callable[[float, float, float], Structure], list[int]]] = {
    "zincblende": (zincblende, [1, 1, 1]),
    "wurtzite": (wurtzite, [2, 2, 1]),
    "rutile": (rutile, [1, 1, 2]),
}


def host_of(structure: Structure, repeats: list[int]) -> HostCrystal:
    return build_host(structure, SupercellSettings(matrix=np.diag(repeats).tolist(), min_image_distance_A=2.0))


@cache
def reference(name: str) -> tuple[HostCrystal, dict[str, DefectSite]]:
    make, repeats = CRYSTALS[name]
    host = host_of(make(1.0, 1.0, 1.0), repeats)
    return host, {site.name: site for site in enumerate_sites(host, interstitials=True)}


def drift_A(host: HostCrystal, one: DefectSite, other: DefectSite) -> float:
    to_unit = host.cell_A @ np.linalg.inv(host.unit_cell_A)
    places = (np.asarray(site.frac_coords) @ to_unit for site in (one, other))
    return nearest_image_A(crystal_symmetry(host), *places)


@pytest.mark.parametrize("name", list(CRYSTALS))
@pytest.mark.parametrize("strain", [(1.03, 0.97, 1.0), (0.97, 1.03, 1.0), (1.0, 1.0, 1.03), (1.01, 1.01, 0.97)])
def test_a_strained_host_has_the_same_sites_under_the_same_names(name: str, strain: tuple[float, ...]) -> None:
    make, repeats = CRYSTALS[name]
    host, named = reference(name)
    found = enumerate_sites(host_of(make(*strain), repeats), interstitials=True)
    assert {site.name for site in found} == set(named)
    assert max(drift_A(host, named[site.name], site) for site in found) < SITE_A


def selenides() -> list[tuple[HostCrystal, tuple[DefectSite, ...]]]:
    """Sb2Se3 at two levels of theory: cells 0.07 A apart."""
    hosts = [
        host_of(read_unit_cell(ROOT / "config/hosts" / file), [1, 2, 1])
        for file in ("Sb2Se3.vasp", "Sb2Se3_hse06.vasp")
    ]
    return [(host, enumerate_sites(host, interstitials=True)) for host in hosts]


def test_antimony_selenide_at_two_levels_of_theory_has_one_table_of_names() -> None:
    (host, sites), (other, found) = selenides()
    named = {site.name: site for site in sites}
    assert {site.name for site in found} == set(named)
    assert max(drift_A(host, named[site.name], site) for site in found) < SITE_A
    # The data sets of this crystal are of these vacancies.
    vacancies = {site.name: site.doped_name for site in sites if site.kind == "vacancy" and site.removed == "Sb"}
    assert list(vacancies) == ["v_Sb_1", "v_Sb_2"]
    assert next(s.frac_coords for s in sites if s.name == "v_Sb_1") == pytest.approx(
        tuple(host.positions_A[0] @ np.linalg.inv(host.cell_A) % 1.0), abs=1e-6
    )
    # Whatever order the sites are found in, the names of the file stay.
    shuffled = [*found[::-1]]
    renamed = [
        DefectSite(**{**vars(site), "name": f"i_{site.added}_{n}"}) if site.kind == "interstitial" else site
        for n, site in enumerate(shuffled)
    ]
    kept = keep_names(other, sites, renamed)
    assert {site.name for site in kept} == set(named)
    assert max(drift_A(host, named[site.name], site) for site in kept) < SITE_A
    right = "each site has the name that it has in the host's file"
    mistake("hosts", "interstitials of a host that is relaxed", said="", when="check, import, run", right=right)


def test_a_site_that_is_no_longer_found_keeps_its_name_and_place() -> None:
    host, named = reference("zincblende")
    sites = tuple(named.values())
    kept = keep_names(host, sites, [site for site in sites if site.name != "i_Cd_2"])
    assert {site.name: site.frac_coords for site in kept} == {site.name: site.frac_coords for site in sites}


@settings(max_examples=50, deadline=None)
@given(place=st.tuples(*[st.floats(-2.0, 2.0)] * 3), name=st.sampled_from(list(CRYSTALS)), index=st.integers(0, 10_000))
def test_equivalent_points_have_one_place(place: tuple[float, ...], name: str, index: int) -> None:
    symmetry = crystal_symmetry(reference(name)[0])
    operation = index % len(symmetry.rotations)
    image = symmetry.rotations[operation] @ np.array(place) + symmetry.translations[operation]
    assert place_in_cell(symmetry, image) == pytest.approx(place_in_cell(symmetry, np.array(place)), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    place=st.tuples(*[st.floats(-2.0, 2.0)] * 3),
    step=st.tuples(*[st.floats(-0.01, 0.01)] * 3),
    name=st.sampled_from(list(CRYSTALS)),
)
def test_a_small_step_changes_the_place_by_no_more(
    place: tuple[float, ...], step: tuple[float, ...], name: str
) -> None:
    """The rotations of these settings are matrices of 0, 1 and -1, which stretch a fractional step by two at most."""
    symmetry = crystal_symmetry(reference(name)[0])
    there = place_in_cell(symmetry, np.array(place) + step)
    assert abs(there - place_in_cell(symmetry, np.array(place))) <= 2 * np.linalg.norm(step) + 1e-9


# A structure from elsewhere is what its atoms say, however they are ordered, shifted and rattled.


def antimony_selenide():
    # The stibnite structure; lattice of Voutsas et al., Z. Kristallogr. 171, 261 (1985).
    cell = Structure.from_spacegroup(
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
    matrix = [[1, 0, 0], [0, 2, 0], [0, 0, 1]]
    return build_host(cell, SupercellSettings(matrix=matrix, min_image_distance_A=3.0))


def disguised(frame, seed, rattle_A=0.08):
    """The frame's atoms in another order, displaced, and moved as a whole."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(frame.numbers))
    moved = frame.positions_A + rng.normal(0, rattle_A, frame.positions_A.shape)
    return frame.numbers[order], moved[order] + rng.uniform(-5, 5, 3), frame.cell_A


def misfit_A(host, positions_A, order, kept):
    """Largest distance of atoms from the host's, up to a rigid shift, when read in the order given."""
    gaps = (positions_A[order] - host.positions_A[kept]) @ np.linalg.inv(host.cell_A)
    gaps -= gaps[0]
    return np.linalg.norm((gaps - np.rint(gaps)) @ host.cell_A, axis=1).max()


@pytest.mark.parametrize("seed", [0, 1])
def test_every_defect_is_recognised(cdte, cdte_sites, seed):
    found = {}
    for site in cdte_sites:
        frame = defect_frame(cdte, site, 0)
        numbers, positions, cell = disguised(frame, seed)
        answer = identify(cdte, cdte_sites, numbers, positions, cell)
        found[site.name] = answer.site.name
        assert answer.distance_A < 0.6
        # The order given back is that of the study's own frames.
        assert sorted(answer.order) == list(range(len(numbers)))
        assert np.array_equal(numbers[answer.order], frame.numbers)
    assert found == {site.name: site.name for site in cdte_sites}
    assert {"v_Cd", "Te_Cd", "i_Te_3", "As_Cd", "i_As_1"} <= set(found)


@pytest.mark.parametrize("name", ["v_Cd", "v_Te"])
def test_every_atom_goes_to_its_own_place_in_the_host(cdte, cdte_sites, name):
    frame = defect_frame(cdte, pick_site(cdte_sites, name), 0)
    numbers, positions, cell = disguised(frame, 2)
    order = identify(cdte, cdte_sites, numbers, positions, cell).order
    # Which of the equal atoms is taken for the missing one is a matter of the rigid shift.
    ways = [np.delete(np.arange(len(cdte.numbers)), gone) for gone in range(len(cdte.numbers))]
    fits = [misfit_A(cdte, positions, order, kept) for kept in ways]
    assert min(fits) < 0.8
    assert sorted(fits)[1] > 2.0


def test_inequivalent_sites_of_one_element_are_told_apart():
    host = antimony_selenide()
    sites = enumerate_sites(host)
    for name in ("v_Sb_1", "v_Sb_2", "v_Se_1", "v_Se_2", "v_Se_3"):
        frame = defect_frame(host, pick_site(sites, name), 0)
        numbers, positions, cell = disguised(frame, 3)
        assert identify(host, sites, numbers, positions, cell).site.name == name


def test_the_perfect_host_is_none_of_them(cdte, cdte_sites):
    rng = np.random.default_rng(0)
    positions = cdte.positions_A + rng.normal(0, 0.05, cdte.positions_A.shape)
    found = identify(cdte, cdte_sites, cdte.numbers, positions, cdte.cell_A)
    assert found.site is None
    assert np.array_equal(found.order, np.arange(len(cdte.numbers)))


def test_other_cells_and_atoms_are_refused_with_what_differs(cdte, cdte_sites):
    frame = defect_frame(cdte, pick_site(cdte_sites, "v_Cd"), 0)
    with pytest.raises(DefectError, match=r"up to 0\.1\d+ A"):
        identify(cdte, cdte_sites, frame.numbers, frame.positions_A, frame.cell_A * 1.01)
    with pytest.raises(DefectError, match="perfect supercell is Cd16Te16"):
        identify(cdte, cdte_sites, frame.numbers[2:], frame.positions_A[2:], frame.cell_A)
    strangers = np.where(frame.numbers == 52, 34, frame.numbers)
    with pytest.raises(DefectError, match="Se16Cd15"):
        identify(cdte, cdte_sites, strangers, frame.positions_A, frame.cell_A)


def test_a_dopant_that_the_study_has_not_is_told(cdte, cdte_sites):
    frame = defect_frame(cdte, pick_site(cdte_sites, "v_Cd"), 0)
    numbers = np.append(frame.numbers, 17)
    positions = np.vstack([frame.positions_A, cdte.positions_A[0]])
    with pytest.raises(DefectError, match="Cl_Cd, and Cl is no element of the host or of its dopants"):
        identify(cdte, cdte_sites, numbers, positions, frame.cell_A)


def test_a_defect_at_no_known_site_is_refused_unless_it_is_named(cdte, cdte_sites):
    site = pick_site(cdte_sites, "i_Cd_1")
    frame = defect_frame(cdte, site, 0)
    none = [s for s in cdte_sites if s.kind != "interstitial"]
    with pytest.raises(DefectError, match="--defect"):
        identify(cdte, none, frame.numbers, frame.positions_A, frame.cell_A)
