"""The site table: which defects there are, what they are called, their supercells; and defects in a host's file."""

import warnings

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.errors import DefectError, HostError
from defectscape.domain.frame import Origin
from defectscape.files.quiet import quiet
from defectscape.files.structures import to_structure
from defectscape.sampling.charge_states import propose_charges
from defectscape.sampling.dopants import dopants, unbounded_dopants
from defectscape.sampling.host import build_host, read_unit_cell
from defectscape.sampling.point_defects import find_point_defect
from defectscape.sampling.site_names import describe_sites, pick_site
from defectscape.sampling.sites import _doped_entries, closest_atom, defect_frame, enumerate_sites
from defectscape.settings.structure import SupercellSettings
from support.mistakes import mistake

# The site table: which defects there are, what they are called, and their supercells.


LATTICE_A = 6.62


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


def silicon():
    cell = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]])
    return build_host(cell, SupercellSettings(matrix=np.eye(3, dtype=int).tolist(), min_image_distance_A=3.0))


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
    with pytest.raises(DefectError, match="He has no common oxidation state"):
        enumerate_sites(cdte, extrinsic=("He",))


def test_names_of_others_and_short_ones_are_taken_where_one_site_is_meant(cdte, cdte_sites, sb2se3_sites):
    of = {site.name: site.doped_name for site in (*cdte_sites, *sb2se3_sites)}
    for name in ("i_Cd_3", "As_Te", "i_As_2", "v_Sb_2", "Se_Sb_1"):
        sites = cdte_sites if name in {site.name for site in cdte_sites} else sb2se3_sites
        assert pick_site(sites, of[name]).name == name
    assert pick_site(cdte_sites, "Cd_i_C3v").name == "i_Cd_3"
    assert pick_site(cdte_sites, "Cd_i_2").name == "i_Cd_2"
    assert pick_site(cdte_sites, "v_Cd_Td_Te2.83").name == "v_Cd"
    one = [site for site in cdte_sites if site.name != "i_As_1" and site.name != "i_As_3"]
    assert pick_site(one, "i_As").name == pick_site(one, "As_i").name == "i_As_2"
    with pytest.raises(DefectError, match=r"'i_Cd'.*has 3 such sites.*i_Cd_1 \(Cd_i_Td_Cd2.87, 4d, 4 Cd 2.87, 6 Te"):
        pick_site(cdte_sites, "i_Cd", cdte)
    with pytest.raises(DefectError, match=r"has 2 such sites\. Write i_Cd_1 or i_Cd_2"):
        pick_site(cdte_sites, "Cd_i_Td")
    # Where another may be meant they are told, not taken.
    for name in ("V_Cd", "Vac_Cd", "va_Cd1", "v_cd", "vac_1_Cd"):
        with pytest.raises(DefectError, match=r"Write v_Cd\. The host has v_Cd"):
            pick_site(cdte_sites, name)


def test_sites_are_described_by_what_tells_them_apart(cdte, cdte_sites):
    rows = {row.site.name: row for row in describe_sites(cdte, cdte_sites)}
    told = {name: (rows[name].wyckoff, rows[name].neighbours) for name in ("v_Cd", "As_Te", "i_Cd_1", "i_As_2")}
    a = LATTICE_A
    tetrahedral, octahedral = f"{3**0.5 / 4 * a:.2f}", f"{a / 2:.2f}"
    assert told == {
        "v_Cd": ("4a", f"4 Te {tetrahedral}"),
        "As_Te": ("4c", f"4 Cd {tetrahedral}"),
        "i_Cd_1": ("4d", f"4 Cd {tetrahedral}, 6 Te {octahedral}"),
        "i_As_2": ("4b", f"4 Te {tetrahedral}, 6 Cd {octahedral}"),
    }
    for row in rows.values():
        # The conventional cell holds four primitive ones.
        assert row.wyckoff[:-1] == str(4 * row.site.multiplicity)
    place = np.array(rows["i_Cd_1"].unit_frac_coords) @ cdte.unit_cell_A
    there = np.array(rows["i_Cd_1"].site.frac_coords) @ cdte.cell_A
    gap = (place - there) @ np.linalg.inv(cdte.unit_cell_A)
    assert np.allclose(gap, np.rint(gap), atol=1e-3)


@pytest.mark.parametrize("make", [antimony_selenide, silicon])
def test_wyckoff_positions_and_neighbours_agree_with_doped_and_pymatgen(make):
    host = make()
    rows = describe_sites(host, enumerate_sites(host, interstitials=True))
    entries, _ = _doped_entries(host, True, ())
    theirs = {entry.name.rpartition("_")[0]: entry.wyckoff for entry in entries}
    assert {row.site.doped_name: row.wyckoff for row in rows} == theirs
    structure = to_structure(host.unit_numbers, host.unit_positions_A, host.unit_cell_A)
    for row in rows:
        place = structure.lattice.get_cartesian_coords(row.unit_frac_coords)
        lengths = sorted(n.nn_distance for n in structure.get_sites_in_sphere(place, 7.0) if n.nn_distance > 0.1)
        shell = [length for length in lengths if length <= 1.2 * lengths[0]]
        counts = [int(words.split()[0]) for words in row.neighbours.split(", ")]
        assert sum(counts) == len(shell), row.short
        assert row.neighbours.split(", ")[0].split()[2].startswith(f"{shell[0]:.2f}")


def test_charges_are_proposed_as_doped_does(cdte):
    sites = enumerate_sites(cdte, interstitials=True, extrinsic=("Cl", "Cu"))
    proposed = {found.site.name: found.charges for found in propose_charges(cdte, sites)}
    assert list(proposed) == [site.name for site in sites]
    assert proposed["v_Cd"] == (1, 0, -1, -2)
    assert proposed["v_Te"] == (2, 1, 0, -1)
    # A donor and an acceptor.
    assert 1 in proposed["Cl_Te"]
    assert min(proposed["Cl_Te"]) == 0
    assert -1 in proposed["Cu_Cd"]


def test_a_dopant_changes_nothing_of_the_hosts_own_defects(cdte, cdte_sites):
    own = {site.name: site for site in enumerate_sites(cdte, interstitials=True)}
    native = [site for site in cdte_sites if site.added != "As"]
    assert native == list(own.values())
    for name in ("v_Cd", "Te_Cd", "i_Cd_1"):
        ours, theirs = (defect_frame(cdte, pick_site(sites, name), 0) for sites in (own.values(), cdte_sites))
        assert ours.frame_id == theirs.frame_id
    assert dopants(cdte.numbers, ["Cl_Te", "i_Cu_1", "Te_Cd", "v_Cd", "i_Cd_1", "Va_Cd"]) == ("Cl", "Cu")
    assert unbounded_dopants(["Cl", "Cu"], [{"Cd": 1, "Cl": 2}, {"Cu": 1}]) == ("Cu",)


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


# Point defects betray themselves by translations that almost hold; perfect crystals have none.


SG = Structure.from_spacegroup
SB2SE3 = SG(
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
PERFECT = {
    "CdTe": SG("F-43m", Lattice.cubic(6.62), ["Cd", "Te"], [[0, 0, 0], [0.25] * 3]),
    "Si": SG("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]]),
    "MgO": SG("Fm-3m", Lattice.cubic(4.21), ["Mg", "O"], [[0, 0, 0], [0.5] * 3]),
    "Sb2Se3": SB2SE3,
    "wurtzite": SG(
        "P6_3mc",
        Lattice.hexagonal(3.25, 5.2),
        ["Zn", "O"],
        [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]],
    ),
    "quartz": SG(
        "P3_221",
        Lattice.hexagonal(4.913, 5.405),
        ["Si", "O"],
        [[0.4697, 0, 2 / 3], [0.4135, 0.2669, 0.7858]],
    ),
    "rutile": SG("P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
    "perovskite": SG("Pm-3m", Lattice.cubic(3.905), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]),
    "tilted perovskite": SG(
        "Pnma",
        Lattice.orthorhombic(5.44, 7.64, 5.38),
        ["Ca", "Ti", "O", "O"],
        [[0.035, 0.25, -0.007], [0, 0, 0.5], [0.484, 0.25, 0.071], [0.289, 0.037, -0.289]],
    ),
    "spinel": SG("Fd-3m", Lattice.cubic(8.08), ["Mg", "Al", "O"], [[0, 0, 0], [0.625] * 3, [0.387] * 3]),
    "bixbyite": SG(
        "Ia-3",
        Lattice.cubic(10.117),
        ["In", "In", "O"],
        [[0.25] * 3, [0.466, 0, 0.25], [0.39, 0.154, 0.382]],
    ),
    "kesterite": SG(
        "I-4",
        Lattice.tetragonal(5.43, 10.86),
        ["Cu", "Cu", "Zn", "Sn", "S"],
        [[0, 0, 0], [0, 0.5, 0.25], [0.5, 0, 0.25], [0, 0, 0.5], [0.756, 0.757, 0.872]],
    ),
    "ordered alloy": SG(
        "I4/mmm",
        Lattice.tetragonal(8.31, 3.9),
        ["Ti", "Pt", "Pt"],
        [[0, 0, 0], [1 / 3, 0, 0], [1 / 3, 1 / 3, 0]],
    ),
}
SUPERCELLS = [
    ("CdTe", (2, 2, 1)),
    ("CdTe", (2, 2, 2)),
    ("Si", (2, 2, 2)),
    ("MgO", (2, 1, 1)),
    ("MgO", (2, 2, 2)),
    ("Sb2Se3", (1, 2, 1)),
    ("Sb2Se3", (1, 3, 1)),
    ("quartz", (2, 2, 2)),
]


@pytest.mark.parametrize("name", PERFECT)
def test_perfect_crystals_and_their_supercells_are_accepted(name, tmp_path):
    path = tmp_path / "host.cif"
    PERFECT[name].to(filename=str(path), fmt="cif")
    assert len(read_unit_cell(path)) == len(PERFECT[name])
    assert find_point_defect(PERFECT[name] * (2, 1, 1)) is None


def with_vacancy(cell):
    cell.remove_sites([len(cell) // 3])
    return cell


def with_antisite(cell):
    symbols = [element.symbol for element in cell.elements]
    own = cell[len(cell) // 3].specie.symbol
    others = [symbol for symbol in symbols if symbol != own]
    cell.replace(len(cell) // 3, others[0] if others else "Ge")
    return cell


def with_interstitial(cell):
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 12, endpoint=False)] * 3), -1).reshape(-1, 3)
    distances = cell.lattice.get_all_distances(grid, cell.frac_coords).min(axis=1)
    cell.append(cell[0].specie, grid[int(np.argmax(distances))])
    return cell


def with_dopant(cell):
    cell.replace(len(cell) // 3, "Cl")
    return cell


@pytest.mark.parametrize("defect", [with_vacancy, with_antisite, with_interstitial, with_dopant])
@pytest.mark.parametrize("rattle_A", [0.0, 0.05])
@pytest.mark.parametrize(("name", "repeats"), SUPERCELLS)
def test_defective_supercells_are_found(name, repeats, rattle_A, defect):
    cell = defect(PERFECT[name] * repeats)
    moves = np.random.default_rng(1).normal(0, 1, (len(cell), 3)) * rattle_A
    cell = Structure(cell.lattice, cell.species, cell.cart_coords + moves, coords_are_cartesian=True)
    found = find_point_defect(cell)
    assert found is not None
    assert found.atoms - 2 <= found.mapped < found.atoms


def test_a_perfect_supercell_with_noise_is_no_defect():
    cell = PERFECT["CdTe"] * (2, 2, 2)
    moves = np.random.default_rng(2).normal(0, 0.08, (len(cell), 3))
    noisy = Structure(cell.lattice, cell.species, cell.cart_coords + moves, coords_are_cartesian=True)
    assert find_point_defect(noisy) is None


def test_the_refusal_names_the_place_and_the_remedy(tmp_path):
    cell = PERFECT["CdTe"] * (2, 2, 2)
    gone = cell[5].frac_coords
    cell.remove_sites([5])
    path = tmp_path / "defective.vasp"
    cell.to(filename=str(path), fmt="poscar")
    with pytest.raises(HostError, match="point defect") as caught:
        read_unit_cell(path)
    message = str(caught.value)
    assert "62 of 63" in message
    assert "perfect unit cell" in message
    mistake("hosts", "a supercell with a vacancy as host", said=caught.value, when="check, run")
    place = find_point_defect(cell).frac_coords
    # The search works in a Niggli-reduced cell, which is this cubic cell up to its orientation.
    assert sorted(np.round(np.array(place) % 0.5, 2)) == sorted(np.round(gone % 0.5, 2))
