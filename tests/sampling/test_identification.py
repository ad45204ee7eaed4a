"""A structure from elsewhere is what its atoms say, however they are ordered, shifted and rattled."""

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.errors import DefectError
from defectscape.sampling.host import build_host
from defectscape.sampling.identification import identify
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import defect_frame, enumerate_sites
from defectscape.settings.structure import SupercellSettings


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
