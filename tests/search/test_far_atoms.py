"""Atoms far from a defect: a crystal that changed phase around it is told from a defect that reconstructs."""

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.frame import Origin
from defectscape.sampling.host import build_host
from defectscape.sampling.pairs import pair_site
from defectscape.sampling.sites import closest_atom, defect_frame, enumerate_sites
from defectscape.search.description import distances_A
from defectscape.search.far_atoms import MOVED_A, far_atoms
from defectscape.settings.structure import SupercellSettings
from defectscape.summary.host_stability import MANY, far_lines
from defectscape.summary.schema import FarAtomsRow
from support.summary_builder import make_summary


@pytest.fixture(scope="module")
def host():
    unit = Structure.from_spacegroup("F-43m", Lattice.cubic(6.48), ["Cd", "Te"], [[0, 0, 0], [0.25] * 3])
    return build_host(unit, SupercellSettings(matrix=np.diag([2, 2, 2]).tolist(), min_image_distance_A=12.0))


@pytest.fixture(scope="module")
def site(host):
    return next(site for site in enumerate_sites(host) if site.name == "v_Cd")


def moved(host, site, by_A):
    frame = defect_frame(host, site, 0)
    return frame.moved(frame.positions_A + by_A(frame), origin=Origin.MINIMUM)


def in_layers(frame, step_A):
    """Layers of one kind of atom move against each other: a phase of half the wave length of the cell."""
    shift = np.zeros_like(frame.positions_A)
    layer = np.rint(4 * (frame.positions_A @ np.linalg.inv(frame.cell_A))[:, 2]).astype(int)
    shift[:, 0] = np.where(layer % 2 == 0, step_A, -step_A)
    return shift


def test_the_unrelaxed_defect_has_its_atoms_in_their_places(host, site):
    found = far_atoms(host, defect_frame(host, site, 0), site)
    assert (found.displaced, found.rms_A) == (0, pytest.approx(0.0, abs=1e-6))
    # 64 sites less the vacancy, 4 neighbours and the 12 next ones, which lie at 4.58 A; all others are beyond 5 A.
    assert found.atoms == 64 - 17


def test_a_rigid_drift_is_no_displacement(host, site):
    drifted = moved(host, site, lambda frame: np.full_like(frame.positions_A, 0.3))
    assert far_atoms(host, drifted, site).displaced == 0


def test_a_defect_that_reconstructs_leaves_the_crystal(host, site):
    def neighbours_in(frame):
        shift, centre = np.zeros_like(frame.positions_A), np.array(site.frac_coords) @ frame.cell_A
        atom = closest_atom(frame.positions_A, frame.cell_A, centre)
        shift[atom] = 0.9 * np.array([1.0, 0.2, 0.1])
        return shift

    found = far_atoms(host, moved(host, site, neighbours_in), site)
    assert found.displaced == 0
    assert found.rms_A < 0.05


def test_atoms_beside_a_partner_of_a_pair_are_not_far(host):
    pair = pair_site(host, enumerate_sites(host), "v_Cd+v_Te_shell2")
    places_A = [np.array(point.frac_coords) @ host.cell_A for point in pair.points]
    middle_A = np.array(pair.frac_coords) @ host.cell_A
    away_A = distances_A(host.cell_A, np.array([middle_A, *places_A]), host.positions_A)
    frame = defect_frame(host, pair, 0)
    radius_A = far_atoms(host, frame, pair).radius_A
    beside = np.flatnonzero((away_A[0] > radius_A) & (away_A[1:].min(axis=0) < radius_A))
    assert len(beside) > 4, "far from the point between the two, and next to one of them"
    atoms = [closest_atom(frame.positions_A, frame.cell_A, host.positions_A[site]) for site in beside]
    shift = np.zeros_like(frame.positions_A)
    shift[atoms[::2], 0], shift[atoms[1::2], 0] = 0.5, -0.5
    found = far_atoms(host, frame.moved(frame.positions_A + shift, origin=Origin.MINIMUM), pair)
    assert found.displaced == 0
    assert found.atoms == int(np.sum(away_A[1:].min(axis=0) > radius_A))


@pytest.mark.parametrize(("step_A", "many"), [(0.05, False), (0.3, True)])
def test_a_change_of_phase_moves_the_far_atoms(host, site, step_A, many):
    found = far_atoms(host, moved(host, site, lambda frame: in_layers(frame, step_A)), site)
    assert found.rms_A == pytest.approx(step_A, rel=0.2)
    assert (found.displaced > MANY * found.atoms) is many
    assert (step_A > MOVED_A) is many


@pytest.mark.parametrize(
    ("displaced", "gain_eV", "told"), [(20, 0.4, True), (10, 0.4, False), (20, 0.01, False), (20, None, False)]
)
def test_the_page_says_whose_the_gain_may_be(displaced, gain_eV, told):
    row = make_summary().defects[0]
    far = FarAtomsRow(radius_A=5.0, atoms=40, displaced=displaced, rms_A=0.31)
    lines = far_lines([row.model_copy(update={"far": far, "gain_over_unperturbed_eV": gain_eV})], 0.02)
    assert len(lines) == told
    if told:
        assert lines[0].startswith(f"{row.key}: its gain of 0.400 eV may be the host's")
        assert "20 of the 40 atoms farther than 5.0 A" in lines[0]
        assert "RMS 0.31 A" in lines[0]
