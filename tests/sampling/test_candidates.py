"""Split vacancies and atoms off centre: geometry that no distortion of neighbours makes."""

import numpy as np
import pytest

from defectscape.sampling.candidates import candidates
from defectscape.sampling.contacts import displacements_A
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import closest_atom, defect_frame
from defectscape.sampling.starts import make_starts

BOND_A = 6.62 * 3**0.5 / 4
CADMIUM_A = 6.62 / 2**0.5


@pytest.fixture(scope="module")
def wide(sampling):
    return sampling.model_copy(update={"split_vacancies": 2, "off_centre_A": 0.7})


def made(cdte, cdte_sites, name, settings):
    site = pick_site(cdte_sites, name)
    frame = defect_frame(cdte, site, 0)
    return (
        frame,
        site,
        {label: (note, xyz) for label, note, xyz in candidates(frame, site, settings)},
    )


def test_a_split_vacancy_has_an_atom_half_way_between_two_empty_sites(cdte, cdte_sites, wide):
    frame, site, found = made(cdte, cdte_sites, "v_Cd", wide)
    assert list(found) == ["split1", "split2"]
    place = np.array(site.frac_coords) @ frame.cell_A
    for label, distance_A in (("split1", CADMIUM_A), ("split2", 6.62)):
        moves = displacements_A(frame.positions_A, found[label][1], frame.cell_A)
        (atom,) = np.flatnonzero(np.linalg.norm(moves, axis=1) > 1e-9)
        assert frame.numbers[atom] == 48
        assert np.linalg.norm(moves[atom]) == pytest.approx(distance_A / 2, abs=1e-6)
        from_vacancy = displacements_A(place[None], found[label][1][[atom]], frame.cell_A)
        assert np.linalg.norm(from_vacancy) == pytest.approx(distance_A / 2, abs=1e-6)


def test_an_atom_off_centre_moves_along_a_bond_both_ways(cdte, cdte_sites, wide):
    frame, site, found = made(cdte, cdte_sites, "Te_Cd", wide)
    assert set(found) == {"offcentre-toward", "offcentre-away"}
    atom = closest_atom(frame.positions_A, frame.cell_A, np.array(site.frac_coords) @ frame.cell_A)
    nearest = {}
    for label, (_, positions) in found.items():
        moves = displacements_A(frame.positions_A, positions, frame.cell_A)
        assert np.flatnonzero(np.linalg.norm(moves, axis=1) > 1e-9).tolist() == [atom]
        gaps = displacements_A(np.broadcast_to(positions[atom], positions.shape), positions, frame.cell_A)
        nearest[label] = np.sort(np.linalg.norm(gaps, axis=1))[1]
    assert nearest["offcentre-toward"] == pytest.approx(BOND_A - 0.7, abs=1e-6)
    assert nearest["offcentre-away"] > BOND_A - 0.3


def test_they_are_starts_with_families_of_their_own_in_every_charge(cdte, cdte_sites, wide, sampling):
    site = pick_site(cdte_sites, "v_Cd")
    for charge in (0, -2):
        starts = make_starts(cdte, site, charge, wide, 7)
        families = {start.family for start in starts}
        assert {"v_Cd/split1", "v_Cd/split2"} <= families
        plain = {start.frame_id for start in make_starts(cdte, site, charge, sampling, 7)}
        assert plain < {start.frame_id for start in starts}, "other starts have moved"
    note = next(s.note for s in starts if s.family == "v_Cd/split1")
    assert note == "split vacancy, Cd from 4.7 A"


def test_none_are_made_unless_asked_for(cdte, cdte_sites, sampling):
    for name in ("v_Cd", "Te_Cd", "i_Cd_1"):
        assert made(cdte, cdte_sites, name, sampling)[2] == {}
