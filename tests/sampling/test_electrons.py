"""Electrons: of references in their standard state, of defects, and of open shells."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.data import atomic_numbers, covalent_radii
from ase.units import kB
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.errors import DefectscapeError, HostError, ThermoError
from defectscape.domain.frame import NO_MOMENT, Frame, Origin
from defectscape.domain.keys import HOST_KEY, DefectKey
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.engines.espresso import STEPS
from defectscape.engines.espresso_input import pw_input
from defectscape.engines.tblite import TbliteEngine
from defectscape.engines.vasp_input import vasp_incar
from defectscape.sampling.electrons import (
    added_atoms,
    check_host_spin,
    missing_electrons,
    mixed_spins,
    open_shell_ions,
    spin_warning,
)
from defectscape.sampling.element_crystals import element_crystal, repeated
from defectscape.sampling.host import build_host, host_frame, read_reference, read_unit_cell, shortest_lattice_vector_A
from defectscape.sampling.references import element_frame, sampling_warning
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import enumerate_sites
from defectscape.sampling.standard_states import molecules, reference_multiplicity
from defectscape.settings.espresso import EspressoSettings
from defectscape.settings.references import ReferenceSettings
from defectscape.settings.structure import SupercellSettings
from defectscape.settings.tblite import TbliteSettings
from defectscape.settings.thermo import ThermoSettings
from defectscape.settings.vasp import VaspSettings
from support import ROOT
from support.mistakes import mistake

# References have the electrons of their standard state, in any cell or box that people give.


TBLITE = TbliteSettings(kind="tblite", method="GFN1-xTB")
ESPRESSO = EspressoSettings(
    kind="espresso",
    functional="pbe",
    command="pw.x",
    pseudo_dir=Path("pseudo"),
    pseudopotentials={"Cu": "Cu.upf"},
    cutoff_Ry=40.0,
    kpoints=[1, 1, 1],
)


def multiplicity(atoms: Atoms, stated: int | None = None, *, unpolarised: bool = True) -> int:
    return reference_multiplicity(
        atoms.numbers, atoms.positions, atoms.cell.array, "thermo.elemental_references.X", stated, unpolarised
    )


def boxed(name: str, box_A: float) -> Atoms:
    atoms = molecule(name)
    atoms.set_cell([box_A] * 3)
    atoms.pbc = True
    return atoms


def thermo(element: str, **reference: object) -> ThermoSettings:
    values = {"elemental_references": {element: reference}, "correction": {"kind": "none"}}
    return ThermoSettings.model_validate(values)


@given(
    box_A=st.floats(5.0, 30.0),
    shift=st.tuples(*[st.floats(-1.0, 1.0)] * 3),
    angles=st.tuples(*[st.floats(0.0, 360.0)] * 3),
    bond_A=st.floats(1.15, 1.35),
)
def test_an_oxygen_molecule_is_a_triplet_in_any_box(
    box_A: float, shift: tuple[float, ...], angles: tuple[float, ...], bond_A: float
) -> None:
    atoms = Atoms("O2", [[0, 0, 0], [0, 0, bond_A]], cell=[box_A] * 3, pbc=True)
    atoms.euler_rotate(*angles)
    atoms.positions += np.array(shift) * box_A
    atoms.wrap()
    assert multiplicity(atoms) == 3


@pytest.mark.parametrize(
    ("name", "spin"),
    [("N2", 1), ("H2", 1), ("Cl2", 1), ("F2", 1), ("S2", 3), ("Si2", 3), ("P2", 1), ("NO", 2), ("N", 4)],
)
def test_molecules_and_atoms_have_their_ground_state(name: str, spin: int) -> None:
    atoms = Atoms(name, cell=[12.0] * 3, pbc=True) if name == "N" else boxed(name, 12.0)
    assert multiplicity(atoms) == spin


def test_an_oxygen_molecule_whose_spin_is_not_said() -> None:
    right = f"taken with multiplicity {multiplicity(boxed('O2', 12.0))}"
    mistake("hosts", "O2 molecule as reference, no spin stated", said="", when="check, run", right=right)


@given(
    element=st.sampled_from(["Cu", "Al", "Ag", "Au", "Na", "K", "In", "Ga", "Li", "Rb", "Nb", "Ta", "Sc", "Y", "V"]),
    lattice=st.sampled_from(["fcc", "bcc", "sc"]),
    strain=st.floats(0.97, 1.03),
    repeats=st.integers(1, 3),
)
def test_no_electron_of_a_metal_is_forced_to_be_unpaired(
    element: str, lattice: str, strain: float, repeats: int
) -> None:
    radius = {"fcc": 2 * np.sqrt(2), "bcc": 4 / np.sqrt(3), "sc": 2.0}[lattice]
    length_A = radius * covalent_radii[atomic_numbers[element]] * 1.05 * strain
    atoms = bulk(element, lattice, a=length_A) * (repeats, 1, 1)
    expected = NO_MOMENT if sum(atoms.numbers) % 2 else 1
    assert multiplicity(atoms) == expected
    # An engine without k-points counts on parity alone.
    assert multiplicity(atoms, unpolarised=False) == 1 + sum(atoms.numbers) % 2


def test_a_magnetic_metal_whose_moment_is_not_said() -> None:
    with pytest.raises(ThermoError) as caught:
        multiplicity(bulk("Fe"))
    mistake(
        "hosts",
        "Fe, Co, Ni, Cr, Mn or lanthanide metal as reference",
        said=caught.value,
        when="check, run",
        right="multiplicity, or energy_eV_per_atom with its source",
    )


@pytest.mark.parametrize("element", ["Fe", "Co", "Ni", "Cr", "Mn", "Gd"])
def test_magnetic_metals_are_refused_until_the_study_says_more(element: str) -> None:
    atoms = bulk(element, "bcc", a=2.87 if element != "Gd" else 4.0, cubic=True)
    with pytest.raises(ThermoError, match=f"metallic {element}.*energy_eV_per_atom"):
        multiplicity(atoms)
    assert multiplicity(atoms, 5) == 5


def test_a_multiplicity_of_the_wrong_parity_is_refused() -> None:
    with pytest.raises(ThermoError, match="16 electrons") as caught:
        multiplicity(boxed("O2", 10.0), 2)
    mistake("hosts", "multiplicity of the wrong parity", said=caught.value, when="check, run")
    assert multiplicity(boxed("O2", 10.0), 1) == 1


def test_several_oxygen_molecules_are_refused() -> None:
    with pytest.raises(ThermoError, match="one molecule in a box") as caught:
        multiplicity(boxed("O2", 8.0) * (2, 1, 1))
    right = "one O2, multiplicity 3"
    mistake(
        "hosts", "several O2 molecules, solid oxygen as reference", said=caught.value, when="check, run", right=right
    )


def test_chains_and_networks_are_no_molecules() -> None:
    chain = Atoms("Se", cell=[10.0, 10.0, 2.3], pbc=True)
    assert molecules(chain.numbers, chain.positions, chain.cell.array) is None
    silicon = bulk("Si")
    assert molecules(silicon.numbers, silicon.positions, silicon.cell.array) is None


@pytest.mark.parametrize("box_A", [6.0, 8.0, 9.5, 15.0, 25.0])
def test_a_molecule_in_a_box_of_any_size_is_read(box_A: float, tmp_path: Path) -> None:
    boxed("O2", box_A).write(tmp_path / "O2.vasp", format="vasp")
    assert len(read_reference(tmp_path / "O2.vasp")) == 2
    right = "taken, as any reference"
    mistake("hosts", "O2, N2, S2, ... in a box of 6 to 25 A", said="", when="check, run", right=right)


def test_a_surface_is_no_reference(tmp_path: Path) -> None:
    slab = bulk("Cu", cubic=True) * (1, 1, 2)
    slab.center(vacuum=10.0, axis=2)
    slab.write(tmp_path / "Cu.vasp", format="vasp")
    with pytest.raises(DefectscapeError, match="surface") as caught:
        read_reference(tmp_path / "Cu.vasp")
    mistake("hosts", "a surface as reference", said=caught.value, when="check, run")


def test_a_metal_is_warned_of_without_a_mesh(tmp_path: Path) -> None:
    bulk("Cu").write(tmp_path / "Cu.vasp", format="vasp")
    settings = thermo("Cu", file=str(tmp_path / "Cu.vasp"))
    frame = element_frame(settings, "Cu", ESPRESSO)
    assert frame.multiplicity == NO_MOMENT
    assert "elemental_kpoints" in str(sampling_warning(frame, "Cu", None, ESPRESSO))
    assert sampling_warning(frame, "Cu", [12, 12, 12], ESPRESSO) is None
    alone = sampling_warning(element_frame(settings, "Cu", TBLITE), "Cu", None, TBLITE)
    assert "supercell" in str(alone)
    said = (str(sampling_warning(frame, "Cu", None, ESPRESSO)), str(alone))
    mistake(
        "hosts",
        "metal reference without a mesh; the same, with an engine without k-points",
        said=said,
        when="check (a warning)",
    )


def test_tight_binding_without_exchange_tells_spins_apart_by_entropy_alone() -> None:
    """Four half-filled spin orbitals of the smeared singlet have an entropy of 4 k ln 2; the triplet has none.

    So this engine cannot tell that the triplet is lower, by over 1 eV: the table does.
    """
    atoms = boxed("O2", 10.0)

    def energy_eV(spin: int) -> float:
        frame = Frame(atoms.numbers, atoms.positions, atoms.cell.array, HOST_KEY, spin, Origin.REFERENCE, "reference/O")
        return TbliteEngine(TBLITE).compute(frame, 0).energy_eV

    entropy_eV = 4 * kB * TBLITE.electronic_temperature_K * np.log(2)
    assert energy_eV(3) - energy_eV(1) == pytest.approx(entropy_eV, abs=1e-3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "give file"),
        ({"file": "x", "energy_eV_per_atom": -1.0}, "belong together"),
        ({"file": "x", "source": "me"}, "belong together"),
        ({"file": "x", "multiplicity": 0}, "greater than or equal to 1"),
        ({"energy_eV_per_atom": -1.0, "source": "me", "multiplicity": 3}, "take multiplicity out"),
        ({"file": "x", "spin": 3}, "Extra"),
    ],
)
def test_half_said_references_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        thermo("O", **values)


def test_a_path_stays_a_path() -> None:
    values = {"elemental_references": {"O": "O2.vasp"}, "correction": {"kind": "none"}}
    settings = ThermoSettings.model_validate(values)
    assert settings.elemental_references["O"] == ReferenceSettings(file=Path("O2.vasp"))
    assert settings.model_dump(mode="json")["elemental_references"] == {"O": "O2.vasp"}
    assert ThermoSettings.model_validate(settings.model_dump(mode="json")) == settings


def inputs_of(spin: int) -> tuple[dict[str, object], str]:
    """INCAR tags and pw.x's input of one copper atom, eleven electrons."""
    atoms = bulk("Cu")
    frame = Frame(atoms.numbers, atoms.positions, atoms.cell.array, HOST_KEY, spin, Origin.REFERENCE, "reference/Cu")
    vasp = VaspSettings(
        kind="vasp",
        functional="pbe",
        command="vasp_std",
        potcar_dir=Path("potcars"),
        potcars={"Cu": "Cu"},
        cutoff_eV=400.0,
        kpoints=[1, 1, 1],
    )
    return vasp_incar(frame, vasp, 11.0), pw_input(frame, ESPRESSO, 11.0, STEPS[0][0])


def test_engines_fix_no_moment_of_an_odd_metal() -> None:
    incar, pw = inputs_of(NO_MOMENT)
    assert incar["ISPIN"] == 1
    assert "NUPDOWN" not in incar
    right = f"no moment fixed: ISPIN = {incar['ISPIN']}, nspin = 1, the odd electron shared by both spins"
    mistake("hosts", "one-atom cell of Cu, Al, Ag, Na ... with VASP or pw.x", said="", when="run", right=right)
    assert " nspin = 1" in pw
    assert "tot_magnetization" not in pw
    assert " occupations = 'smearing'" in pw
    incar, pw = inputs_of(2)
    assert incar["NUPDOWN"] == 1
    assert " tot_magnetization = 1" in pw


# Electrons and holes of a defect, and the charge states whose lowest spin is a guess.


RUTILE = Structure.from_spacegroup(
    "P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)
GALLIUM_ARSENIDE = Structure.from_spacegroup(
    "F-43m", Lattice.cubic(5.65), ["Ga", "As"], [[0, 0, 0], [0.25, 0.25, 0.25]]
)
ANTIMONY_SELENIDE = read_unit_cell(ROOT / "config/hosts/Sb2Se3_hse06.vasp")
SILICON = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]])


def built(structure: Structure) -> tuple[HostCrystal, tuple[DefectSite, ...]]:
    host = build_host(structure, SupercellSettings(matrix=[[1, 0, 0], [0, 1, 0], [0, 0, 1]], min_image_distance_A=2.0))
    return host, enumerate_sites(host, extrinsic=("Cl", "P", "Zn"))


@pytest.mark.parametrize(
    ("structure", "defect", "charge", "missing"),
    [
        (RUTILE, "v_O", 2, 0),
        (RUTILE, "v_O", 1, -1),
        (RUTILE, "v_O", 0, -2),
        (RUTILE, "v_Ti", -4, 0),
        (GALLIUM_ARSENIDE, "v_Ga", 0, 3),
        (GALLIUM_ARSENIDE, "v_As", 0, -3),
        (GALLIUM_ARSENIDE, "Cl_As", 2, 0),
        (GALLIUM_ARSENIDE, "Zn_Ga", -1, 0),
        (GALLIUM_ARSENIDE, "P_As", 0, 0),
        (RUTILE, "Cl_O", 1, 0),
        (SILICON, "P_Si", 1, 0),
        (SILICON, "P_Si", 0, -1),
        (SILICON, "Zn_Si", -2, 0),
        (SILICON, "Cl_Si", 0, -3),
    ],
)
def test_holes_and_electrons_are_counted_against_the_hosts_ions(structure, defect, charge, missing) -> None:
    host, sites = built(structure)
    assert missing_electrons(host, pick_site(sites, defect), charge) == missing


@pytest.mark.parametrize(("symbol", "closed"), [("Cl", -1), ("O", -2), ("Zn", 2), ("H", 1)])
def test_an_interstitial_dopant_is_the_ion_of_its_nature(symbol, closed) -> None:
    host, _ = built(GALLIUM_ARSENIDE)
    site = DefectSite(f"i_{symbol}", f"{symbol}_i", "interstitial", symbol, None, (0.5, 0.5, 0.5), 1)
    assert missing_electrons(host, site, closed) == 0


def guesses(host: HostCrystal, sites: tuple[DefectSite, ...], keys: list[DefectKey], **known: bool) -> str:
    """The line on states whose lowest spin is a guess; empty without any."""
    return spin_warning(host, sites, keys, **({"checked": True, "told": True} | known)) or ""


def test_what_is_done_about_a_guess_is_said() -> None:
    host, sites = built(RUTILE)
    keys = [DefectKey("v_O", 0)]
    assert "the next one is tried" in guesses(host, sites, keys)
    assert "no other is tried;" in guesses(host, sites, keys, checked=False)
    assert "does not tell spins apart" in guesses(host, sites, keys, checked=False, told=False)


def test_a_model_that_knows_no_spin_is_told_of_two_in_one_composition() -> None:
    """Two sites of one element: the same atoms and charge, so that one may relax into the other's structure."""
    host, sites = built(ANTIMONY_SELENIDE)
    keys = [DefectKey("v_Se_1", 0), DefectKey("v_Se_2", 0), DefectKey("v_Se_2", 1), DefectKey("v_Sb_1", 0)]
    assert mixed_spins(host, sites, keys, {}) == ()
    assert mixed_spins(host, sites, keys, {DefectKey("v_Se_2", 1): 4, DefectKey("v_Sb_1", 0): 4}) == ()
    assert mixed_spins(host, sites, keys, {keys[0]: 1}) == ()
    (told,) = mixed_spins(host, sites, keys, {keys[0]: 3})
    assert told.startswith("v_Se_1_0 (multiplicity 3), v_Se_2_0 (multiplicity 1): the same atoms and charge")


def test_states_of_two_electrons_or_more_are_told_and_no_others() -> None:
    host, sites = built(RUTILE)
    keys = [DefectKey("v_O", charge) for charge in (0, 1, 2)]
    assert guesses(host, sites, keys).startswith("v_O_0: the lowest spin multiplicity is taken")
    assert not guesses(host, sites, keys[1:])
    host, sites = built(GALLIUM_ARSENIDE)
    keys = [DefectKey("v_Ga", -charge) for charge in range(4)]
    assert guesses(host, sites, keys).startswith("v_Ga_0, v_Ga_-1: ")


def test_a_dopant_in_a_bond_of_an_element_is_counted() -> None:
    host, sites = built(SILICON)
    assert not guesses(host, sites, [DefectKey("P_Si", charge) for charge in (1, 0)])
    assert guesses(host, sites, [DefectKey("P_Si", -1)]).startswith("P_Si_-1: ")


def test_broken_bonds_of_an_element_are_told_in_any_charge_state() -> None:
    host, sites = built(SILICON)
    assert guesses(host, sites, [DefectKey("v_Si", 0)]).startswith("v_Si_0: ")


# Hosts and dopants with open d or f shells wait for a word on their spin; closed shells need none.


CLOSED = (
    "CdTe ZnO GaAs Si Sb2Se3 MgO CuI Cu2O CuInSe2 Cu2ZnSnS4 CuSbS2 AgCl Cs2AgBiBr6 TiO2 SrTiO3 LiNbO3 V2O5 BiVO4 "
    "WO3 MoO3 ZrO2 HfO2 Y2O3 ScN La2O3 CeO2 YbO ThO2 HgTe CsPbI3 Lu2O3"
)
OPEN = (
    "NiO CuO MnO FeO CoO Cr2O3 Ti2O3 TiN Fe3O4 VO2 FeS2 MoS2 CrI3 LiFePO4 GdN EuO Ce2O3 Er2O3 UO2 CuCl2 AgF2 RuO2 "
    "TiNiSn"
)


def numbers_of(formula: str) -> np.ndarray:
    composition = Composition(formula)
    return np.concatenate([np.full(round(amount), element.Z) for element, amount in composition.items()])


def rock_salt(cation: str, repeats: int = 1) -> HostCrystal:
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.2), [cation, "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    matrix = [[repeats, 0, 0], [0, 1, 0], [0, 0, 1]]
    return build_host(structure, SupercellSettings(matrix=matrix, min_image_distance_A=3.0))


@pytest.mark.parametrize("formula", CLOSED.split())
def test_closed_shells_need_no_word(formula: str) -> None:
    assert open_shell_ions(numbers_of(formula)) == ()


@pytest.mark.parametrize("formula", OPEN.split())
def test_open_shells_are_named(formula: str) -> None:
    assert open_shell_ions(numbers_of(formula))


def test_the_ion_is_said_with_its_electrons() -> None:
    assert open_shell_ions(numbers_of("NiO")) == ("Ni2+ (d8)",)
    assert open_shell_ions(numbers_of("GdN")) == ("Gd3+ (f7)",)


def test_nickel_oxide_is_refused_with_thing_value_and_remedy() -> None:
    with pytest.raises(HostError, match=r"spin of NiO: open shells: Ni2\+ \(d8\).*host.multiplicity: 1") as caught:
        check_host_spin(rock_salt("Ni"), None)
    check_host_spin(rock_salt("Ni"), 1)
    mistake(
        "hosts",
        "NiO, Cr2O3, CuO, GdN as host",
        said=caught.value,
        when="check, run",
        right="`host.multiplicity: 1` if low spin, more if ferromagnetic",
    )
    for formula in ("TiO2", "Cu2O", "ZnO", "CeO2"):
        assert open_shell_ions(numbers_of(formula)) == ()
    mistake("hosts", "TiO2, Cu2O, ZnO, CeO2 as host", said="", when="check, run", right="a singlet: d0, d10, d10, f0")


def test_a_dopant_with_an_open_shell_is_refused() -> None:
    host = rock_salt("Mg")
    check_host_spin(host, None, added_atoms(["v_O", "i_Mg_1", "Zn_Mg", "Cu_Mg"]))
    with pytest.raises(HostError, match="added Fe") as caught:
        check_host_spin(host, None, added_atoms(["v_O", "Fe_Mg"]))
    mistake("hosts", "defect that adds Ti, Fe, Gd, ...", said=caught.value, when="check, run")
    with pytest.raises(HostError, match="added Ti"):
        check_host_spin(host, None, added_atoms(["i_Ti_2"]))


def test_a_ferromagnet_has_the_parity_of_its_electrons() -> None:
    host = rock_salt("Ni")
    check_host_spin(host, 9)
    with pytest.raises(HostError, match="8, but the supercell has an even number of electrons"):
        check_host_spin(host, 8)
    assert host_frame(host, 9).unpaired == 8
    assert host_frame(host).unpaired == 0


@pytest.mark.parametrize(
    ("element", "group", "atoms", "bond_A"),
    [
        ("Ga", "Cmce", 4, 2.48),
        ("As", "R-3m", 2, 2.51),
        ("Se", "P3_121", 3, 2.37),
        ("Te", "P3_121", 3, 2.84),
        ("S", "Fddd", 32, 2.05),
        ("Cu", "Fm-3m", 1, 2.55),
        ("In", "I4/mmm", 1, 3.25),
        ("O", None, 2, 1.21),
        ("Cl", None, 2, 1.99),
    ],
)
def test_elements_have_their_measured_crystals(element: str, group: str | None, atoms: int, bond_A: float) -> None:
    crystal = element_crystal(element)
    assert crystal is not None
    assert (set(crystal.symbol_set), len(crystal)) == ({element}, atoms)
    wide = repeated(crystal, 7.0)
    assert shortest_lattice_vector_A(wide.lattice.matrix) >= 6.9
    distances = wide.distance_matrix + 99 * np.eye(len(wide))
    assert distances.min() == pytest.approx(bond_A, rel=0.035)
    if group is not None:
        assert crystal.get_space_group_info()[0] == group
        assert wide.get_space_group_info()[0] == group


@pytest.mark.parametrize("element", ["Fe", "Mn", "Gd", "Pu"])
def test_a_metal_with_free_moments_has_no_crystal_that_can_be_computed(element: str) -> None:
    assert element_crystal(element) is None
