"""The host: what is accepted, what is refused, and what the supercell and its relaxation keep."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.errors import HostError
from defectscape.domain.frame import Origin
from defectscape.domain.keys import HOST_KEY
from defectscape.files.structures import atomic_numbers, to_structure
from defectscape.sampling.host import (
    build_host,
    host_frame,
    read_unit_cell,
    relax_host,
    shortest_lattice_vector_A,
    unit_cell_indices,
)
from defectscape.sampling.sites import enumerate_sites
from defectscape.settings.structure import HostSettings, SupercellSettings
from support.mistakes import mistake

HOSTS = Path(__file__).parents[2] / "config" / "hosts"
CDTE = Structure.from_spacegroup("F-43m", Lattice.cubic(6.62), ["Cd", "Te"], [[0, 0, 0], [0.25] * 3])
TWICE = [[2, 0, 0], [0, 2, 0], [0, 0, 2]]


def supercell(matrix, distance_A=3.0):
    return SupercellSettings(matrix=matrix, min_image_distance_A=distance_A)


def written(folder, structure):
    path = folder / "host.vasp"
    structure.to(filename=str(path), fmt="poscar")
    return path


def refusal(path):
    with pytest.raises(HostError) as caught:
        read_unit_cell(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert caught.value.remedy
    return message


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("CdTe", "F-43m"),
        ("GaAs", "F-43m"),
        ("ZnSe", "F-43m"),
        ("Si", "Fd-3m"),
        ("Sb2Se3", "Pnma"),
    ],
)
def test_shipped_hosts_have_their_textbook_space_group(name, group):
    host = build_host(read_unit_cell(HOSTS / f"{name}.vasp"), supercell(TWICE))
    assert host.spacegroup == group
    assert host.formula == name
    assert len(host.numbers) == 8 * len(host.unit_numbers)


def test_missing_and_unreadable_files_are_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "nothing.vasp")
    bad = tmp_path / "bad.vasp"
    bad.write_text("CdTe\n1.0\nnot a lattice\n")
    assert "cannot be read" in refusal(bad)
    binary = tmp_path / "binary.cif"
    binary.write_bytes(bytes(range(256)))
    assert "cannot be read" in refusal(binary)


def test_partial_occupancy_is_refused(tmp_path):
    path = tmp_path / "alloy.cif"
    alloy = Structure.from_spacegroup(
        "F-43m", Lattice.cubic(6.5), [{"Cd": 0.5, "Zn": 0.5}, "Te"], [[0, 0, 0], [0.25] * 3]
    )
    alloy.to(filename=str(path), fmt="cif")
    assert "partial occupancy" in refusal(path)


def test_overlapping_atoms_are_refused_by_covalent_radii(tmp_path):
    cdte = CDTE.copy()
    doubled = cdte.copy()
    doubled.append("Cd", [0.04, 0.0, 0.0])
    assert "apart" in refusal(written(tmp_path, doubled))
    squeezed = Structure(Lattice.cubic(3.8), cdte.species, cdte.frac_coords)
    assert "1.65 A apart" in refusal(written(tmp_path, squeezed))


def test_slab_and_flat_cell_are_refused(tmp_path):
    layer = Structure(
        Lattice.hexagonal(3.16, 20.0),
        ["Mo", "S", "S"],
        [[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.578], [2 / 3, 1 / 3, 0.422]],
    )
    assert "empty slab" in refusal(written(tmp_path, layer))
    flat = tmp_path / "flat.vasp"
    flat.write_text("flat\n1.0\n3 0 0\n0 3 0\n3 3 0\nSi\n1\nDirect\n0 0 0\n")
    refusal(flat)


def test_noise_is_refused_and_a_real_distortion_is_not(tmp_path):
    cdte = CDTE.copy()
    noise = np.random.default_rng(0).normal(0, 0.02, (8, 3))
    noisy = Structure(cdte.lattice, cdte.species, cdte.cart_coords + noise, coords_are_cartesian=True)
    message = refusal(written(tmp_path, noisy))
    assert "noise" in message
    assert "Symmetrise" in message
    polar = Structure(
        Lattice.tetragonal(3.992, 4.036),
        ["Ba", "Ti", "O", "O", "O"],
        [[0, 0, 0], [0.5, 0.5, 0.512], [0.5, 0.5, 0.977], [0.5, 0, 0.486], [0, 0.5, 0.486]],
    )
    assert build_host(read_unit_cell(written(tmp_path, polar)), supercell(TWICE)).spacegroup == "P4mm"


def test_supercell_holds_det_copies_grouped_by_element():
    structure = CDTE.copy()
    host = build_host(structure, supercell([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    assert len(host.numbers) == 2 * len(structure)
    changes = np.flatnonzero(np.diff(host.numbers))
    assert len(changes) == 1
    assert np.allclose(host.cell_A, host.matrix @ host.unit_cell_A)
    assert np.bincount(unit_cell_indices(host)).tolist() == [2] * 8
    again = build_host(structure, supercell([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    assert again.positions_A.tobytes() == host.positions_A.tobytes()
    image = Atoms(host.numbers, host.positions_A, cell=host.cell_A, pbc=True)
    assert image.get_all_distances(mic=True)[0, 1:].min() == pytest.approx(6.62 * 3**0.5 / 4)


def test_image_distance_is_the_shortest_lattice_vector_not_the_shortest_edge():
    # All edges of this sheared cell are longer than 10 A, yet it repeats after 5 A.
    assert shortest_lattice_vector_A(np.array([[5.0, 0, 0], [0, 5, 0], [0, 0, 5]])) == 5.0
    sheared = np.array([[2, 1, 0], [3, 2, 0], [4, 0, 1]]) @ (5.0 * np.eye(3))
    assert np.linalg.norm(sheared, axis=1).min() > 11
    assert shortest_lattice_vector_A(sheared) == pytest.approx(5.0)
    fcc = build_host(CDTE.copy(), supercell([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    assert fcc.min_image_distance_A == pytest.approx(6.62 * 2**0.5)


@pytest.mark.parametrize(
    ("matrix", "distance_A", "words"),
    [
        ([[1, 0, 0], [0, 1, 0], [1, 1, 0]], 3.0, "determinant 0"),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 2]], 8.0, "6.62 A from its image"),
    ],
)
def test_bad_supercells_are_refused(matrix, distance_A, words):
    with pytest.raises(HostError, match=words):
        build_host(CDTE.copy(), supercell(matrix, distance_A))


def test_left_out_matrix_is_found_and_satisfies_the_distance():
    silicon = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]])
    host = build_host(silicon, SupercellSettings(min_image_distance_A=5.4))
    assert host.min_image_distance_A == pytest.approx(5.43)
    assert len(host.numbers) == 8
    assert np.linalg.det(host.matrix) > 0


def test_host_frame_is_neutral_and_of_no_defect():
    host = build_host(CDTE.copy(), supercell(TWICE))
    frame = host_frame(host)
    assert (frame.key, frame.charge, frame.multiplicity) == (HOST_KEY, 0, 1)
    assert (frame.origin, frame.family) == (Origin.HOST, "host")


def settings(kind, distance_A=3.0, steps=60):
    return HostSettings(
        file=HOSTS / "unused",
        supercell=supercell(None, distance_A),
        relax=kind,
        relax_fmax_eV_A=1e-4,
        relax_max_steps=steps,
    )


def stretched(metal, ratio):
    """Body-centred tetragonal cell of a metal; a ratio of sqrt(2) is face-centred cubic."""
    cell = Structure(Lattice.tetragonal(2.8, 2.8 * ratio), [metal, metal], [[0] * 3, [0.5] * 3])
    return build_host(cell, supercell([[3, 0, 0], [0, 2, 0], [0, 0, 2]]))


def test_volume_relaxation_scales_and_cell_relaxation_finds_fcc():
    host = stretched("Cu", 1.5)
    volume = relax_host(host, lambda frame: EMT(), settings("volume"))
    edges = np.linalg.norm(volume.unit_cell_A, axis=1)
    assert edges[2] / edges[0] == pytest.approx(1.5, abs=1e-9)
    assert np.linalg.det(volume.unit_cell_A) != pytest.approx(np.linalg.det(host.unit_cell_A))
    cell = relax_host(host, lambda frame: EMT(), settings("cell"))
    edges = np.linalg.norm(cell.unit_cell_A, axis=1)
    assert edges[0] == pytest.approx(edges[1], abs=1e-9)
    assert edges[2] / edges[0] == pytest.approx(2**0.5, abs=2e-3)
    # The same minimum from the primitive cell, found without any supercell.
    spacings = np.linspace(3.5, 3.7, 201)
    energies = []
    for spacing in spacings:
        atoms = bulk("Cu", "fcc", a=spacing) * (4, 4, 4)
        atoms.calc = EMT()
        energies.append(atoms.get_potential_energy())
    assert edges[2] == pytest.approx(spacings[int(np.argmin(energies))], abs=5e-3)


def test_relaxation_keeps_symmetry_and_atoms_and_relaxes_free_coordinates():
    layers = Structure(
        Lattice.tetragonal(2.7, 7.6),
        ["Cu", "Cu", "Au", "Au"],
        [[0, 0, 0.12], [0.5, 0.5, 0.88], [0.5, 0.5, 0.37], [0, 0, 0.63]],
    )
    host = build_host(layers, supercell([[2, 0, 0], [0, 3, 0], [0, 0, 1]]))
    relaxed = relax_host(host, lambda frame: EMT(), settings("cell"))
    assert relaxed.spacegroup == host.spacegroup
    assert np.array_equal(relaxed.numbers, host.numbers)
    atoms = Atoms(relaxed.numbers, relaxed.positions_A, cell=relaxed.cell_A, pbc=True)
    atoms.calc = EMT()
    assert np.abs(atoms.get_forces()).max() < 1e-3
    assert np.abs(atoms.get_stress()).max() < 1e-3
    assert not np.allclose(relaxed.unit_cell_A, host.unit_cell_A, atol=0.01)
    again = relax_host(host, lambda frame: EMT(), settings("cell"))
    assert again.positions_A.tobytes() == relaxed.positions_A.tobytes()


class NoStress(EMT):
    """An engine without stresses."""

    implemented_properties = ("energy", "free_energy", "forces")

    def get_stress(self, atoms=None):
        raise AssertionError("positions can be relaxed without a stress")


def test_positions_alone_are_relaxed_without_a_stress_in_the_cell_of_the_file():
    layers = Structure(
        Lattice.tetragonal(2.7, 7.6),
        ["Cu", "Cu", "Au", "Au"],
        [[0, 0, 0.12], [0.5, 0.5, 0.88], [0.5, 0.5, 0.37], [0, 0, 0.63]],
    )
    host = build_host(layers, supercell([[2, 0, 0], [0, 3, 0], [0, 0, 1]]))
    relaxed = relax_host(host, lambda frame: NoStress(), settings("positions"))
    np.testing.assert_allclose(relaxed.unit_cell_A, host.unit_cell_A, atol=1e-12)
    assert relaxed.spacegroup == host.spacegroup
    assert np.abs(relaxed.unit_positions_A - host.unit_positions_A).max() > 0.01
    atoms = Atoms(relaxed.numbers, relaxed.positions_A, cell=relaxed.cell_A, pbc=True)
    atoms.calc = EMT()
    assert np.abs(atoms.get_forces()).max() < 1e-3


def test_relaxation_off_unconverged_and_shrunk():
    host = stretched("Cu", 1.5)
    assert relax_host(host, lambda frame: EMT(), settings("none")) is host
    with pytest.raises(HostError, match="relax_max_steps"):
        relax_host(host, lambda frame: EMT(), settings("cell", steps=1))
    with pytest.raises(HostError, match="min_image_distance_A"):
        relax_host(host, lambda frame: EMT(), settings("volume", distance_A=7.0))


def test_structures_round_trip():
    structure = read_unit_cell(HOSTS / "GaAs.vasp")
    numbers = atomic_numbers(structure)
    again = to_structure(numbers, structure.cart_coords, structure.lattice.matrix)
    assert np.array_equal(atomic_numbers(again), numbers)
    assert sorted(set(numbers.tolist())) == [31, 33]


@effort(max_examples=20, deadline=None)
@given(
    swap=st.permutations([0, 1, 2]),
    signs=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    shear=st.integers(-1, 1),
)
def test_a_cell_of_any_handedness_is_read_right_handed_with_the_atoms_where_they_were(swap, signs, shear):
    crystal = Structure.from_spacegroup("F-43m", Lattice.cubic(6.46), ["Cd", "Te"], [[0, 0, 0], [0.25] * 3])
    rows = np.diag(signs) @ np.eye(3)[list(swap)] @ np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    turned = Structure(
        Lattice(rows @ crystal.lattice.matrix), crystal.species, crystal.cart_coords, coords_are_cartesian=True
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "host.json"
        path.write_text(json.dumps(turned.as_dict()))
        found = read_unit_cell(path)
    assert np.linalg.det(found.lattice.matrix) > 0
    for site in turned:
        same = [s for s in found if s.specie == site.specie]
        steps = found.lattice.get_fractional_coords([s.coords - site.coords for s in same])
        assert np.min(np.max(np.abs(steps - np.rint(steps)), axis=1)) < 1e-6


def test_a_left_handed_matrix_spans_the_same_supercell():
    unit = read_unit_cell(HOSTS / "CdTe.vasp")
    left = build_host(unit, supercell([[0, 2, 0], [2, 0, 0], [0, 0, 2]]))
    assert np.linalg.det(left.cell_A) > 0
    assert np.allclose(sorted(np.linalg.norm(left.cell_A, axis=1)), np.linalg.norm(unit.lattice.matrix * 2, axis=1))
    right = "taken right-handed, with the opposite vectors and the atoms where they were"
    mistake("hosts", "left-handed cell or supercell matrix", said="", when="check, run", right=right)


@pytest.mark.parametrize("comment", ["Cd Te", "host"])
def test_a_poscar_without_symbols_is_refused(tmp_path, comment):
    lines = (HOSTS / "CdTe.vasp").read_text().splitlines()
    path = tmp_path / "POSCAR"
    path.write_text("\n".join([comment, *lines[1:5], *lines[6:]]))
    with pytest.raises(HostError, match=r"VASP 4.*Add a line with their symbols"):
        read_unit_cell(path)


def test_an_alloy_is_taken_where_the_study_says_so(tmp_path):
    alloy = Structure.from_spacegroup("F-43m", Lattice.cubic(5.65), ["Ga", "As"], [[0, 0, 0], [0.25] * 3]) * (2, 1, 1)
    alloy.replace(0, "Al")
    path = tmp_path / "alloy.vasp"
    alloy.to(str(path), "poscar")
    with pytest.raises(HostError, match=r"host\.taken_as_perfect") as caught:
        read_unit_cell(path)
    right = "with `host.taken_as_perfect: true`, whose text names the risk, it is taken"
    mistake("hosts", "model of an alloy (AlGa7As8) as host", said=caught.value, when="check, run", right=right)
    unit = read_unit_cell(path, taken_as_perfect=True)
    assert unit.composition.reduced_formula == "AlGa7As8"
    host = build_host(unit, SupercellSettings(matrix=np.eye(3, dtype=int).tolist(), min_image_distance_A=5.0))
    assert {"v_Al", "Al_As_1"} & {site.name for site in enumerate_sites(host)}


def test_hosts_that_people_give(tmp_path):
    when = "check, run"
    alloy = Structure.from_spacegroup(
        "F-43m", Lattice.cubic(6.5), [{"Cd": 0.5, "Zn": 0.5}, "Te"], [[0, 0, 0], [0.25] * 3]
    )
    alloy.to(filename=str(tmp_path / "alloy.cif"), fmt="cif")
    mistake("hosts", "an alloy with partial occupancies as host", said=refusal(tmp_path / "alloy.cif"), when=when)
    doubled = CDTE.copy()
    doubled.append("Cd", [0.04, 0.0, 0.0])
    mistake("hosts", "a host with an atom twice", said=refusal(written(tmp_path, doubled)), when=when)
    layer = Structure(Lattice.tetragonal(3.0, 20.0), ["Si", "Si"], [[0.5, 0.5, 0.45], [0.0, 0.0, 0.55]])
    mistake("hosts", "a slab as host", said=refusal(written(tmp_path, layer)), when=when)
    noise = np.random.default_rng(0).normal(0, 0.02, (8, 3))
    noisy = Structure(CDTE.lattice, CDTE.species, CDTE.cart_coords + noise, coords_are_cartesian=True)
    mistake("hosts", "a host whose atoms have noise of 0.02 A", said=refusal(written(tmp_path, noisy)), when=when)
    with pytest.raises(HostError) as close:
        build_host(CDTE.copy(), supercell([[1, 0, 0], [0, 1, 0], [0, 0, 2]], 8.0))
    mistake("hosts", "a supercell matrix that leaves images closer than asked for", said=close.value, when=when)
    lines = (HOSTS / "CdTe.vasp").read_text().splitlines()
    path = tmp_path / "POSCAR"
    path.write_text("\n".join(["Cd Te", *lines[1:5], *lines[6:]]))
    mistake("hosts", "POSCAR of VASP 4, also with the symbols as its comment", said=refusal(path), when=when)
