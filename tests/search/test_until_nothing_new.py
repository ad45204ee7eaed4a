"""Searches that go on with further starts, on a surface of wells whose places are known."""

from dataclasses import dataclass

import numpy as np
import pytest
from ase.geometry import find_mic

from defectscape.domain.family import Split, found_family
from defectscape.domain.prediction import Prediction
from defectscape.domain.site import DefectSite
from defectscape.sampling.further_starts import FurtherSampling, van_der_corput
from defectscape.sampling.sites import closest_atom, defect_frame
from defectscape.sampling.splits import assign_splits
from defectscape.sampling.starts import make_starts
from defectscape.search.matching import host_operations
from defectscape.search.merging import merge
from defectscape.search.relaxation import relax_all
from defectscape.search.until_nothing_new import FurtherStarts, search_on
from defectscape.settings.sampling import SamplingSettings
from defectscape.settings.search import MinimaSettings, SearchSettings, UntilNothingNewSettings

SITE = DefectSite("Te_Cd", "?", "substitution", "Te", "Cd", (0.0, 0.0, 0.0), 1)
SAMPLING = SamplingSettings(
    bond_distortions=[-0.4, -0.2, 0.2, 0.4],
    off_centre=0.3,
    shortest_distance_A=1.0,
    test_fraction=0.2,
    valid_fraction=0.2,
)
SEVEN = SAMPLING.model_copy(update={"off_centre": None})
SEARCH = SearchSettings(fmax_eV_A=0.02, max_steps=200, cross_seeds_per_charge=0, shortest_distance_A=0.5)
MINIMA = MinimaSettings(merge_rmsd_A=0.03)
SETTINGS = UntilNothingNewSettings(batch=6, at_most=96, quiet_batches=5, quench_steps=20, hop_step_A=0.7)
HIDDEN_A = 1.5
"""How far from its site the antisite's hidden well lies."""
ALONG = np.array([2.0, 1.0, -1.0]) / np.sqrt(6.0)


@dataclass(frozen=True)
class Wells:
    """The antisite's atom in Gaussian wells, the others on springs at their sites: every minimum is known.

    Attributes:
        home: the unperturbed defect.
        atom: the antisite's.
        wells: of each charge: displacement (3,), A, depth, eV, and width, A.
    """

    home: object
    atom: int
    wells: dict

    def evaluate(self, frame):
        moves, _ = find_mic(frame.positions_A - self.home.positions_A, frame.cell_A, pbc=True)
        spring = np.full(len(frame), 3.0)
        spring[self.atom] = 0.02
        energy_eV = float(0.5 * np.sum(spring[:, None] * moves**2))
        forces = -spring[:, None] * moves
        for place_A, depth_eV, width_A in self.wells[frame.charge]:
            away = moves[self.atom] - place_A
            value_eV = -depth_eV * np.exp(-0.5 * away @ away / width_A**2)
            energy_eV += float(value_eV)
            forces[self.atom] += value_eV * away / width_A**2
        return Prediction(energy_eV, (energy_eV,), forces, np.zeros(len(frame)))

    def evaluate_many(self, frames):
        return [self.evaluate(frame) for frame in frames]


ONE = [(np.zeros(3), 1.0, 0.45)]
TWO = [*ONE, (HIDDEN_A * ALONG, 1.3, 0.45)]
THREE = [*TWO, (2 * HIDDEN_A * ALONG, 1.6, 0.45)]
NARROW = [*ONE, (HIDDEN_A * ALONG, 1.3, 0.15)]
"""The hidden well is one that a search of further starts passes by."""


@pytest.fixture(scope="module")
def searched(cdte):
    """The search of some charge states: ``searched(wells of each charge, settings)``."""
    operations = host_operations(cdte, SITE.frac_coords)

    def run(wells, **changes):
        settings = SETTINGS.model_copy(update=changes)
        home = defect_frame(cdte, SITE, 0)
        atom = closest_atom(home.positions_A, home.cell_A, np.zeros(3))
        surface = Wells(home, atom, wells)
        starts = [start for charge in wells for start in make_starts(cdte, SITE, charge, SEVEN, 3)]
        found = relax_all(starts, surface, SEARCH)
        splits = assign_splits({start.family for start in starts}, SEVEN, 3) | {found_family("Te_Cd"): Split.TRAIN}
        makers = [
            FurtherStarts(
                FurtherSampling(cdte, SITE, charge, SEVEN, 3, splits),
                surface,
                SEARCH,
                settings,
                np.zeros(3),
                operations,
                MINIMA.merge_rmsd_A,
                "1",
            )
            for charge in wells
        ]
        more, tried = search_on(found, makers, surface, SEARCH, settings, MINIMA, operations)

        def lowest_eV(relaxations, charge):
            return merge([r for r in relaxations if r.start.key.charge == charge], operations, MINIMA)[0].energy_eV

        return found, more, tried, lowest_eV, splits

    return run


@pytest.fixture(scope="module")
def hidden(searched):
    return searched({0: TWO})


@pytest.fixture(scope="module")
def nothing(searched):
    return searched({0: ONE})


def test_a_minimum_that_seven_starts_miss_is_found(hidden):
    found, more, (tried,), lowest_eV, _ = hidden
    assert len(found) == tried.first == 7
    assert lowest_eV(found, 0) == pytest.approx(-1.0, abs=0.05)
    assert lowest_eV([*found, *more], 0) < -1.2
    assert tried.further == len(more)
    assert tried.new_minima == 1
    assert 1 <= tried.last_new <= tried.further
    ended = more[tried.last_new - 1]
    assert ended.energy_eV == pytest.approx(lowest_eV([*found, *more], 0), abs=0.03)
    assert "further:" in ended.start.note


def test_it_rests_where_nothing_is_new_and_the_number_of_starts_follows_from_what_is_found(searched, nothing, hidden):
    _, more, (alone,), _, _ = nothing
    assert (alone.new_minima, alone.last_new, alone.rested) == (0, 0, True)
    # Five quiet batches of six, and not one start more.
    assert alone.further == len(more) == 30
    assert "no new low minima" in alone.text
    _, _, (two,), _, _ = hidden
    _, _, (three,), _, _ = searched({0: THREE})
    assert two.rested
    assert three.new_minima > two.new_minima
    assert three.further > two.further > alone.further
    # The batch of the last new one, and five quiet ones after it.
    for tried in (two, three):
        assert tried.further == 6 * (-(-tried.last_new // 6) + 5)


def test_at_its_limit_it_says_so_and_more_starts_change_no_other(searched, hidden):
    _, more, (tried,), _, _ = searched({0: TWO}, at_most=32)
    assert (tried.further, tried.rested) == (32, False)
    assert "up to the limit" in tried.text
    _, longer, _, _, _ = hidden
    assert [r.start.frame_id for r in more[:30]] == [r.start.frame_id for r in longer[:30]]
    assert [r.energy_eV for r in more[:30]] == [r.energy_eV for r in longer[:30]]


def test_what_one_charge_finds_wakes_another_that_rests(searched):
    _, more, (wide, narrow), lowest_eV, _ = searched({0: TWO, -1: NARROW})
    own = [r for r in more if r.start.key.charge == -1]
    first = next(n for n, r in enumerate(own) if r.energy_eV < -1.2)
    assert own[first].start.note == "further: minimum of Te_Cd_0, recharged, nudged"
    assert first >= 30, "it was at rest"
    assert narrow.last_new == first + 1
    assert lowest_eV(more, -1) == pytest.approx(-1.28, abs=0.03)
    assert wide.rested
    assert narrow.rested


def test_every_kind_has_its_turn(nothing):
    _, more, _, _, _ = nothing
    words = [r.start.note.removeprefix("further: ") for r in more]
    for begin in ("bond distortion", "hop", "rattle", "quench"):
        assert any(word.startswith(begin) for word in words), begin
    assert any("off its site" in word for word in words)


def test_the_families_of_further_starts_are_those_that_they_lie_beside(cdte):
    """A further start beside a held-out one is held out, too; what lies beside none trains, as found minima do."""
    starts = make_starts(cdte, SITE, 0, SAMPLING, 3)
    families = {start.family for start in starts}
    held_out = dict.fromkeys(["Te_Cd/offcentre-toward", "Te_Cd/bond-20%"], Split.TEST)
    splits = dict.fromkeys(families, Split.TRAIN) | held_out
    sampling = FurtherSampling(cdte, SITE, 0, SAMPLING, 3, splits)
    for number in range(12):
        start = sampling.distortion(number)
        if start is None:
            continue
        percent = float(start.note.split("distortion ")[1].split("%")[0])
        held = -40 <= percent <= 20
        assert (start.family == "Te_Cd/bond-20%") == held, "it lies between a held-out one and the next"
        assert start.family in families
        assert -60 <= percent <= 60
    bare = FurtherSampling(cdte, SITE, 0, SAMPLING, 3, {"Te_Cd/unperturbed": Split.TRAIN})
    for make, family in (
        (sampling.rattle, "Te_Cd/rattle"),
        (sampling.off_site, "Te_Cd/offcentre-toward"),
        (bare.off_site, found_family("Te_Cd")),
    ):
        made = [make(number) for number in range(6)]
        assert {start.family for start in made if start is not None} == {family}


def test_split_vacancies_go_on_where_the_study_s_end(cdte):
    vacancy = DefectSite("v_Cd", "?", "vacancy", None, "Cd", (0.0, 0.0, 0.0), 1)
    own = SEVEN.model_copy(update={"split_vacancies": 1})
    notes = {start.note for start in make_starts(cdte, vacancy, 0, own, 3) if "split" in start.note}
    further = FurtherSampling(cdte, vacancy, 0, own, 3, {})
    made = [start for n in range(9) if (start := further.off_site(n))]
    assert 1 <= len(made) < 9
    assert not any(note in start.note for note in notes for start in made)


def test_further_starts_have_the_stated_spin(cdte):
    triplet = FurtherSampling(cdte, SITE, 0, SAMPLING, 3, {"Te_Cd/unperturbed": Split.TRAIN}, 3)
    made = [make(0) for make in (triplet.distortion, triplet.rattle, triplet.off_site)]
    assert {start.multiplicity for start in made if start is not None} == {3}


def test_factors_fill_their_range_at_any_length():
    for count in (7, 20, 61):
        values = np.sort([van_der_corput(n) for n in range(count)])
        assert np.all((values >= 0) & (values < 1))
        assert np.diff([*values, 1.0]).max() <= 2.0 / (count + 1) * 1.01
