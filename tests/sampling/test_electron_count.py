"""Electrons and holes of a defect, and the charge states whose lowest spin is a guess."""

import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.keys import DefectKey
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.sampling.electron_count import missing_electrons
from defectscape.sampling.host import build_host
from defectscape.sampling.open_shells import spin_warning
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import enumerate_sites
from defectscape.settings.structure import SupercellSettings

RUTILE = Structure.from_spacegroup(
    "P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)
GALLIUM_ARSENIDE = Structure.from_spacegroup(
    "F-43m", Lattice.cubic(5.65), ["Ga", "As"], [[0, 0, 0], [0.25, 0.25, 0.25]]
)
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


def test_states_of_two_electrons_or_more_are_told_and_no_others() -> None:
    host, sites = built(RUTILE)
    keys = [DefectKey("v_O", charge) for charge in (0, 1, 2)]
    assert (spin_warning(host, sites, keys) or "").startswith("v_O_0: the lowest spin multiplicity is taken")
    assert spin_warning(host, sites, keys[1:]) is None
    host, sites = built(GALLIUM_ARSENIDE)
    keys = [DefectKey("v_Ga", -charge) for charge in range(4)]
    assert (spin_warning(host, sites, keys) or "").startswith("v_Ga_0, v_Ga_-1: ")


def test_a_dopant_in_a_bond_of_an_element_is_counted() -> None:
    host, sites = built(SILICON)
    assert spin_warning(host, sites, [DefectKey("P_Si", charge) for charge in (1, 0)]) is None
    assert (spin_warning(host, sites, [DefectKey("P_Si", -1)]) or "").startswith("P_Si_-1: ")


def test_broken_bonds_of_an_element_are_told_in_any_charge_state() -> None:
    host, sites = built(SILICON)
    assert (spin_warning(host, sites, [DefectKey("v_Si", 0)]) or "").startswith("v_Si_0: ")
