"""The site table: which defects there are, what they are called, and their supercells."""

import warnings

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Origin
from defectscape.files.quiet import quiet
from defectscape.sampling.host import build_host
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import closest_atom, defect_frame, enumerate_sites
from defectscape.settings.structure import SupercellSettings


def antimony_selenide(scale=1.0):
    # The stibnite structure; lattice of Voutsas et al., Z. Kristallogr. 171, 261 (1985).
    cell = Structure.from_spacegroup(
        "Pnma",
        Lattice.orthorhombic(11.7938 * scale, 3.9858 * scale, 11.6478 * scale),
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


@pytest.fixture(scope="module")
def sb2se3_sites():
    return enumerate_sites(antimony_selenide())


def test_zincblende_has_one_site_per_element(cdte_sites):
    native = [site for site in cdte_sites if "As" not in (site.added or "")]
    names = [site.name for site in native if site.kind != "interstitial"]
    assert names == ["v_Cd", "v_Te", "Cd_Te", "Te_Cd"]
    for site in native:
        if site.kind != "interstitial":
            assert site.multiplicity == 1


def test_interstitials_and_impurities_are_named_and_counted(cdte_sites):
    names = [site.name for site in cdte_sites]
    assert {"As_Cd", "As_Te", "i_Cd_1", "i_Cd_2", "i_Cd_3"} <= set(names)
    assert len(set(names)) == len(names)
    counts = [s.multiplicity for s in cdte_sites if (s.kind, s.added) == ("interstitial", "Cd")]
    # Two tetrahedral interstices, and the bond's hexagonal one on four threefold axes.
    assert sorted(counts) == [1, 1, 4]


def test_sites_coincide_with_host_atoms_of_the_removed_element(cdte, cdte_sites):
    fracs = cdte.positions_A @ np.linalg.inv(cdte.cell_A)
    for site in cdte_sites:
        gaps = fracs - np.array(site.frac_coords)
        distances = np.linalg.norm((gaps - np.rint(gaps)) @ cdte.cell_A, axis=1)
        if site.kind == "interstitial":
            assert distances.min() > 1.5
        else:
            number = cdte.numbers[int(np.argmin(distances))]
            assert distances.min() < 1e-6
            assert number == {"Cd": 48, "Te": 52}[site.removed]


def test_inequivalent_sites_are_indexed_by_unit_cell_atom(sb2se3_sites):
    names = [site.name for site in sb2se3_sites]
    assert names == [
        "v_Sb_1",
        "v_Sb_2",
        "v_Se_1",
        "v_Se_2",
        "v_Se_3",
        "Sb_Se_1",
        "Sb_Se_2",
        "Sb_Se_3",
        "Se_Sb_1",
        "Se_Sb_2",
    ]
    assert {site.multiplicity for site in sb2se3_sites} == {4}
    first = antimony_selenide()
    places = {site.name: np.array(site.frac_coords) for site in sb2se3_sites}
    # v_Sb_1 and Se_Sb_1 are one place, and it is the first antimony of the unit cell.
    assert np.allclose(places["v_Sb_1"], places["Se_Sb_1"])
    atom = closest_atom(first.positions_A, first.cell_A, places["v_Sb_1"] @ first.cell_A)
    assert atom == 0


def test_our_names_survive_a_change_of_volume_and_doped_names_do_not(sb2se3_sites):
    larger = enumerate_sites(antimony_selenide(1.03))
    assert [site.name for site in larger] == [site.name for site in sb2se3_sites]
    for before, after in zip(sb2se3_sites, larger, strict=True):
        assert np.allclose(before.frac_coords, after.frac_coords, atol=1e-8)
    assert larger[0].doped_name != sb2se3_sites[0].doped_name


def test_unknown_defect_lists_the_names(cdte_sites):
    with pytest.raises(DefectError, match="v_Cd, v_Te") as caught:
        pick_site(cdte_sites, "v_Zn")
    assert "'v_Zn'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert pick_site(cdte_sites, "v_Te").removed == "Te"


def test_unknown_impurity_is_refused(cdte):
    with pytest.raises(DefectError, match="Xx"):
        enumerate_sites(cdte, extrinsic=("Xx",))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("v_Cd", {48: -1}),
        ("Te_Cd", {48: -1, 52: 1}),
        ("As_Te", {52: -1, 33: 1}),
        ("i_Cd_1", {48: 1}),
    ],
)
def test_defect_supercell_differs_by_exactly_its_atoms(cdte, cdte_sites, name, change):
    site = pick_site(cdte_sites, name)
    frame = defect_frame(cdte, site, 0)
    counts = np.bincount(frame.numbers, minlength=60) - np.bincount(cdte.numbers, minlength=60)
    assert {int(z): int(counts[z]) for z in np.flatnonzero(counts)} == change
    assert np.count_nonzero(np.diff(frame.numbers)) == len(set(frame.numbers.tolist())) - 1
    assert (frame.origin, frame.note) == (Origin.START, "unperturbed")
    assert frame.family == f"{name}/unperturbed"
    if site.added is not None:
        place = np.array(site.frac_coords) @ cdte.cell_A
        index = closest_atom(frame.positions_A, cdte.cell_A, place)
        assert np.allclose(frame.positions_A[index], place, atol=1e-6)


def test_charge_changes_the_spin_and_not_the_geometry(cdte, cdte_sites):
    site = pick_site(cdte_sites, "v_Cd")
    neutral, negative = (defect_frame(cdte, site, charge) for charge in (0, -1))
    assert (neutral.multiplicity, negative.multiplicity) == (1, 2)
    assert np.array_equal(neutral.positions_A, negative.positions_A)
    assert str(negative.key) == "v_Cd_-1"


def test_a_charge_beyond_all_electrons_is_refused():
    hydrogen = Structure(Lattice.cubic(2.0), ["H"], [[0, 0, 0]])
    matrix = [[1, 0, 0], [0, 1, 0], [0, 0, 3]]
    host = build_host(hydrogen, SupercellSettings(matrix=matrix, min_image_distance_A=1.0))
    site = enumerate_sites(host)[0]
    assert defect_frame(host, site, 1).charge == 1
    with pytest.raises(DefectError, match="none of the supercell's 2 electrons"):
        defect_frame(host, site, 2)


def test_a_table_of_another_host_is_refused(cdte, sb2se3_sites):
    with pytest.raises(DefectError, match="another host"):
        defect_frame(cdte, sb2se3_sites[0], 0)


def test_quiet_puts_the_warning_machinery_back(capsys):
    formatter, filters = warnings.formatwarning, list(warnings.filters)
    with quiet("test"):
        warnings.formatwarning = lambda *parts, **named: "broken"
        warnings.filterwarnings("error")
        print("table")
        warnings.simplefilter("ignore")
        warnings.warn("noise", stacklevel=1)
    assert warnings.formatwarning is formatter
    assert warnings.filters == filters
    assert capsys.readouterr().out == ""
