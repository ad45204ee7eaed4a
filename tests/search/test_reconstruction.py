"""What was found is named after the sites that its atoms occupy and the bonds that they form."""

import lzma
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read
from pymatgen.io.ase import AseAtomsAdaptor

from defectscape.domain.errors import DefectError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.domain.minimum import Minimum, VerifiedMinimum
from defectscape.files.extxyz import read_labelled
from defectscape.sampling.host import build_host, read_unit_cell
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import defect_frame, enumerate_sites
from defectscape.search.matching import host_operations
from defectscape.search.reconstruction import reconstruction, same_structures
from defectscape.settings.structure import SupercellSettings
from defectscape.study.context import StudyContext
from defectscape.study.host import write_host, write_sites
from defectscape.summary.minima import write_structures
from defectscape.summary.searched import Searched, found_structures
from support.small_study import small_study, write_study

ROOT = Path(__file__).parents[2]
CUBIC = [[2, 0, 0], [0, 2, 0], [0, 0, 2]]


class Crystal:
    """A host with its site table: structures are made of it and named."""

    def __init__(self, unit, matrix, interstitials=False):
        supercell = SupercellSettings(matrix=matrix, min_image_distance_A=3.0)
        self.host = build_host(unit, supercell)
        self.sites = enumerate_sites(self.host, interstitials=interstitials)

    def frame(self, defect, charge=0):
        return defect_frame(self.host, pick_site(self.sites, defect), charge)

    def place_A(self, defect):
        return np.array(pick_site(self.sites, defect).frac_coords) @ self.host.cell_A

    def name(self, frame):
        return reconstruction(self.host, self.sites, frame).name

    def from_place(self, frame, place_A):
        """Atoms by their distance from a place: indices, and vectors to them."""
        gaps = (frame.positions_A - place_A) @ np.linalg.inv(frame.cell_A)
        vectors = (gaps - np.rint(gaps)) @ frame.cell_A
        order = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")
        return order, vectors[order]


@pytest.fixture(scope="module")
def cdte():
    return Crystal(read_unit_cell(ROOT / "config/hosts/CdTe.vasp"), CUBIC, interstitials=True)


@pytest.fixture(scope="module")
def silicon():
    return Crystal(read_unit_cell(ROOT / "config/hosts/Si.vasp"), CUBIC)


@pytest.fixture(scope="module")
def mgo():
    return Crystal(AseAtomsAdaptor.get_structure(bulk("MgO", "rocksalt", a=4.21, cubic=True)), CUBIC)


@pytest.fixture(scope="module")
def sb2se3():
    unit = read_unit_cell(ROOT / "config/hosts/Sb2Se3_hse06.vasp")
    return Crystal(unit, [[1, 0, 0], [0, 2, 0], [0, 0, 1]])


def moved(frame, moves):
    positions = frame.positions_A.copy()
    for atom, move in moves:
        positions[atom] += move
    return frame.moved(positions, origin=Origin.MINIMUM)


def disguised(frame, seed, shift_A=0.4):
    """The frame's atoms in another order, moved as a whole, some of them listed in another cell."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(frame))
    positions = frame.positions_A + rng.uniform(-shift_A, shift_A, 3)
    positions += rng.integers(-1, 2, (len(frame), 3)) @ frame.cell_A
    numbers = frame.numbers[order]
    return Frame(numbers, positions[order], frame.cell_A, frame.key, frame.multiplicity, Origin.MINIMUM, "x")


def pair(crystal, frame, place_A, length_A, others=()):
    """Two neighbours of a place, the first that are not in ``others``, brought together to a bond."""
    order, vectors = crystal.from_place(frame, place_A)
    (one, start), (other, end) = [(a, v) for a, v in zip(order, vectors, strict=True) if a not in others][:2]
    bond = end - start
    step = bond * (1 - length_A / np.linalg.norm(bond)) / 2
    return [(one, step), (other, -step)]


@pytest.mark.parametrize(
    ("crystal", "defects"),
    [
        ("cdte", ("v_Cd", "v_Te", "Cd_Te", "Te_Cd", "i_Cd_1", "i_Te_2")),
        ("mgo", ("v_Mg", "v_O", "Mg_O")),
        ("silicon", ("v_Si",)),
        ("sb2se3", ("v_Sb_1", "v_Sb_2", "v_Se_3", "Se_Sb_2")),
    ],
)
def test_a_plain_defect_keeps_its_name(crystal, defects, request):
    crystal = request.getfixturevalue(crystal)
    for seed, defect in enumerate(defects):
        frame = crystal.frame(defect)
        rattled = frame.positions_A + np.random.default_rng(seed).normal(0, 0.05, frame.positions_A.shape)
        found = reconstruction(
            crystal.host, crystal.sites, disguised(frame.moved(rattled, origin=Origin.MINIMUM), seed)
        )
        assert (found.name, found.plain, found.clusters) == (defect, True, ())


def test_a_dimer_in_a_vacancy_is_named_with_its_bond(cdte):
    frame = cdte.frame("v_Cd", -1)
    together = moved(frame, pair(cdte, frame, cdte.place_A("v_Cd"), 2.81))
    found = reconstruction(cdte.host, cdte.sites, together)
    assert found.name == "Te dimer (2.81 A)"
    assert not found.plain
    assert [defect.name for defect in found.defects] == ["v_Cd"]
    assert found.sentence.startswith("The site of Cd is empty. Bonds that the host lacks: Te dimer (2.81 A).")
    assert cdte.name(disguised(together, 4)) == found.name


def test_dimers_of_a_vacancy_in_silicon_are_counted(silicon):
    # Its atoms are bonded in the host, but not these.
    frame = silicon.frame("v_Si")
    first = pair(silicon, frame, silicon.place_A("v_Si"), 2.45)
    second = pair(silicon, frame, silicon.place_A("v_Si"), 2.50, [atom for atom, _ in first])
    assert silicon.name(moved(frame, first + second)) == "2 Si dimers (2.45/2.50 A)"


def test_an_atom_on_the_vacant_site_of_another_element_leaves_its_own(cdte, mgo):
    for crystal, vacancy, name in ((cdte, "v_Cd", "Te_Cd + v_Te"), (mgo, "v_O", "Mg_O + v_Mg")):
        frame = crystal.frame(vacancy)
        order, vectors = crystal.from_place(frame, crystal.place_A(vacancy))
        found = reconstruction(crystal.host, crystal.sites, moved(frame, [(order[0], -0.9 * vectors[0])]))
        assert found.name == name
        words = name.split(" + ")[0].split("_")
        assert found.sentence.startswith(f"{words[0]} is on the site of {words[1]}; the site of {words[0]} is empty.")


def test_an_antisite_that_leaves_its_site_is_a_vacancy_and_an_interstitial(cdte):
    frame = cdte.frame("Cd_Te")
    atom = int(cdte.from_place(frame, cdte.place_A("Cd_Te"))[0][0])
    away = moved(frame, [(atom, cdte.place_A("i_Cd_1") - frame.positions_A[atom])])
    assert cdte.name(away) == "v_Te + i_Cd_1"
    step = np.array([0.4, 0.0, 0.0])
    assert cdte.name(moved(frame, [(atom, step)])).startswith("Cd_Te off-centre (0.4")


def test_two_atoms_on_a_site_are_a_split_interstitial(cdte, silicon):
    for crystal, element, half in (
        (cdte, "Te", np.array([1.38, 0.0, 0.0])),
        (silicon, "Si", np.array([0.86, 0.86, 0.0])),
    ):
        host = crystal.host
        atom = int(np.flatnonzero(host.numbers == Atoms(element).numbers[0])[3])
        positions = np.vstack([host.positions_A, host.positions_A[atom] - half])
        positions[atom] += half
        numbers = np.append(host.numbers, host.numbers[atom])
        key = DefectKey(f"i_{element}", 0)
        frame = Frame(numbers, positions, host.cell_A, key, lowest_multiplicity(numbers, 0), Origin.MINIMUM, "x")
        for one in (frame, disguised(frame, 1)):
            found = reconstruction(host, crystal.sites, one)
            assert found.name == f"{element}-{element} split interstitial"
            assert f"{element} and {element}, {2 * np.linalg.norm(half):.2f} A apart, share" in found.sentence


def test_an_atom_far_from_its_empty_site_is_a_frenkel_pair(cdte, mgo):
    # In rock salt the interstice is the middle of a cube of eight ions.
    interstice = {"cdte": cdte.place_A("i_Cd_1"), "mgo": mgo.host.positions_A[0] + 4.21 / 4}
    for crystal, place_A, element in ((cdte, interstice["cdte"], "Cd"), (mgo, interstice["mgo"], "Mg")):
        host = crystal.host
        numbers = host.numbers
        atoms = Frame(numbers, host.positions_A, host.cell_A, DefectKey("host", 0), 1, Origin.HOST, "host")
        order, vectors = crystal.from_place(atoms, place_A)
        own = [i for i, a in enumerate(order) if numbers[a] == Atoms(element).numbers[0]]
        atom, vector = order[own[20]], vectors[own[20]]
        found = reconstruction(host, crystal.sites, moved(atoms, [(atom, -vector)]))
        assert [defect.elements for defect in found.defects] == [f"v_{element}", f"i_{element}"]
        assert f"Frenkel pair, {np.linalg.norm(vector):.2f} A apart" in found.sentence


def test_an_atom_between_two_empty_sites_is_a_split_vacancy(cdte):
    frame = cdte.frame("v_Cd")
    order, vectors = cdte.from_place(frame, cdte.place_A("v_Cd"))
    cadmium = next(i for i, atom in enumerate(order) if frame.numbers[atom] == 48)
    assert cdte.name(moved(frame, [(order[cadmium], -0.5 * vectors[cadmium])])) == "Cd split vacancy"
    assert cdte.name(moved(frame, [(order[cadmium], -vectors[cadmium])])) == "v_Cd"


def test_what_is_no_longer_the_crystal_and_another_cell_are_told(cdte):
    frame = cdte.frame("v_Cd")
    random = np.random.default_rng(0).uniform(0, 1, (len(frame), 3)) @ frame.cell_A
    assert cdte.name(frame.moved(random, origin=Origin.MINIMUM)) == "disordered"
    cell = frame.cell_A * 1.01
    larger = Frame(frame.numbers, frame.positions_A, cell, frame.key, frame.multiplicity, Origin.MINIMUM, "x")
    with pytest.raises(DefectError, match="lattice vectors differ"):
        cdte.name(larger)


def test_states_that_ended_in_one_structure_say_so(cdte, sb2se3):
    frame = cdte.frame("v_Cd", 0)
    dimer = moved(frame, pair(cdte, frame, cdte.place_A("v_Cd"), 2.81))
    # The same dimer of the other two neighbours, a little longer: a symmetry copy.
    first = [atom for atom, _ in pair(cdte, frame, cdte.place_A("v_Cd"), 2.81)]
    copy = moved(cdte.frame("v_Cd", -1), pair(cdte, frame, cdte.place_A("v_Cd"), 2.86, first))
    states = [dimer, copy, cdte.frame("v_Cd", -2)]
    named = {state.key: (state, reconstruction(cdte.host, cdte.sites, state)) for state in states}
    site = pick_site(cdte.sites, "v_Cd").frac_coords
    operations = host_operations(cdte.host, site)
    alike = same_structures(named, lambda one, other: operations, 0.1)
    neutral, minus, plain = named
    assert alike == {neutral: (minus,), minus: (neutral,), plain: ()}
    # Vacancies of two sites: one ended as the other, by an atom that moved over.
    one, other = sb2se3.frame("v_Sb_1"), sb2se3.frame("v_Sb_2")
    goal, away = (sb2se3.place_A(name) for name in ("v_Sb_2", "v_Sb_1"))
    atom = int(sb2se3.from_place(one, goal)[0][0])
    hopped = moved(one, [(atom, away - one.positions_A[atom])])
    assert sb2se3.name(hopped) == "v_Sb_2"
    every = host_operations(sb2se3.host, None)
    named = {state.key: (state, reconstruction(sb2se3.host, sb2se3.sites, state)) for state in (hopped, other)}
    alike = same_structures(named, lambda one, other: every, 0.1)
    assert alike == {one.key: (other.key,), other.key: (one.key,)}
    unmoved = {state.key: (state, reconstruction(sb2se3.host, sb2se3.sites, state)) for state in (one, other)}
    assert same_structures(unmoved, lambda one, other: every, 0.1) == {one.key: (), other.key: ()}


def test_the_summary_and_the_poscars_of_a_study_name_what_was_found(cdte, tmp_path):
    context = StudyContext.load(write_study(small_study(), tmp_path), tmp_path / "results")
    write_host(context, cdte.host)
    write_sites(context, cdte.sites)
    neutral, minus = cdte.frame("v_Cd", 0), cdte.frame("v_Cd", -1)
    dimer = pair(cdte, neutral, cdte.place_A("v_Cd"), 2.81)
    frames = {(f.key, 0): moved(f, dimer) for f in (neutral, minus)} | {(minus.key, 1): minus}
    found = found_structures(context, {key: frame for (key, rank), frame in frames.items() if rank == 0})
    assert {str(key): (row.name, row.same_as) for key, row in found.items()} == {
        "v_Cd_0": ("Te dimer (2.81 A)", ["v_Cd_-1"]),
        "v_Cd_-1": ("Te dimer (2.81 A)", ["v_Cd_0"]),
    }
    minima = tuple(Minimum(rank, f, 0.0, (0.0,), 0.0, 0.0, (), True) for (_, rank), f in frames.items())
    # The engine relaxed the second minimum of -1 into the dimer: its own geometry is the one that counts.
    label = Label(0.0, np.zeros((len(minus), 3)))
    verified = VerifiedMinimum(minima[2], label, frames[minus.key, 0], label, 3)
    write_structures(context, [Searched(minima, (), {minus.key: (verified,)}, {})])
    folder = context.layout.folder / "minima"
    titles = {path.name: path.read_text().splitlines()[0] for path in folder.iterdir()}
    assert titles == {
        "v_Cd_0_min0.vasp": "v_Cd_0 minimum 0: Te dimer (2.81 A); total charge +0 e",
        "v_Cd_-1_min0.vasp": "v_Cd_-1 minimum 0: Te dimer (2.81 A); total charge -1 e",
        "v_Cd_-1_min1.vasp": "v_Cd_-1 minimum 1: Te dimer (2.81 A); total charge -1 e",
    }
    back = read(folder / "v_Cd_0_min0.vasp")
    assert (len(back), sorted(set(back.symbols))) == (63, ["Cd", "Te"])


@pytest.fixture(scope="module")
def lowest(tmp_path_factory):
    """The lowest HSE06 structure of v_Sb_1 in each charge state among the labels that come with the project."""
    found = {}
    for name in ("hse06", "more_hse06"):
        path = tmp_path_factory.mktemp("sb2se3") / f"{name}.extxyz"
        path.write_bytes(lzma.decompress((ROOT / f"data/sb2se3/{name}.extxyz.xz").read_bytes()))
        for item in read_labelled(path, "hse06"):
            key = item.frame.key
            if key not in found or item.label.energy_eV < found[key].label.energy_eV:
                found[key] = item
    return {key.charge: item.frame for key, item in found.items() if key.defect == "v_Sb_1"}


def test_the_antimony_vacancy_becomes_an_antisite_and_a_vacancy(sb2se3, lowest):
    names = {charge: sb2se3.name(frame) for charge, frame in lowest.items()}
    assert names == {
        1: "Se_Sb_1 + v_Se_3, Se trimer (2.32 A)",
        0: "Se_Sb_1 + v_Se_3, Se trimer (2.36/2.37 A)",
        -1: "v_Sb_1 + v_Se_3 + i_Se, Se trimer (2.54/2.71/2.84 A)",
        -2: "2 Sb-Se bonds (2.83 A)",
        -3: "2 Sb-Se bonds (2.79/2.83 A)",
    }
    assert {charge: sb2se3.name(disguised(frame, 7)) for charge, frame in lowest.items()} == names
