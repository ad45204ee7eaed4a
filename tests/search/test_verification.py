"""Verification counts its labels, keeps the lowest, and survives failed ones."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from ase.calculators.emt import EMT
from ase.optimize import BFGS

from defectscape.domain.frame import Origin
from defectscape.domain.label import Label, LabelledFrame
from defectscape.domain.minimum import PLAIN, Minimum
from defectscape.files.atoms import to_atoms
from defectscape.search.corrected_surface import lowest_observation
from defectscape.search.matching import identity
from defectscape.search.relaxation import nudged, relax
from defectscape.search.state_verification import KNOWN, EngineStarts, ModelSearch, StateVerification
from defectscape.search.verification import (
    GROW,
    HALVE,
    REACH_A,
    SHRINK,
    Step,
    corrected_steps,
    relax_with_engine,
    verify,
)
from defectscape.settings.search import MinimaSettings, VerificationSettings


class EmtLabels:
    """EMT as the engine, which may fail at a given call or misjudge an energy."""

    def __init__(self, fails_at=None, adds_eV=lambda call: 0.0):
        self.frames = []
        self.fails_at, self.adds_eV = fails_at, adds_eV

    def __call__(self, frame):
        self.frames.append(frame)
        if len(self.frames) == self.fails_at:
            return None
        atoms = to_atoms(frame)
        atoms.calc = EMT()
        energy = atoms.get_potential_energy() + self.adds_eV(len(self.frames))
        return Label(energy, atoms.get_forces())


@pytest.fixture(scope="module")
def minimum(vacancy):
    frame = nudged(vacancy, 4, 0.05)
    return Minimum(0, frame, 1.5, (1.4, 1.6), 0.01, 0.02, ("x",), False)


def _settings(steps, fmax_eV_A=0.05):
    return VerificationSettings(minima_per_charge=1, relax_steps=steps, fmax_eV_A=fmax_eV_A)


class WrongEmt(EMT):
    """A model of EMT: forces off by some 0.2 eV/A, curvatures by springs (eV/A^2)."""

    spring = 0.5

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        rng = np.random.default_rng(3)
        forces = rng.normal(0.0, 0.2, size=atoms.positions.shape)
        forces -= forces.mean(axis=0)
        away = atoms.positions - np.round(atoms.positions / 0.9025) * 0.9025
        self.results["energy"] += 0.5 * self.spring * float(np.sum(away**2)) - float(np.sum(forces * atoms.positions))
        self.results["free_energy"] = self.results["energy"]
        self.results["forces"] = self.results["forces"] - self.spring * away + forces


class StiffEmt(WrongEmt):
    """Curvatures so wrong that a step covers a part of the way."""

    spring = 8.0


@pytest.fixture(scope="module")
def step(surface_of, search):
    """Steps by a model that is wrong."""
    return corrected_steps(surface_of(lambda charge: WrongEmt()), search)


def test_without_steps_one_label_is_computed(minimum, step):
    engine = EmtLabels()
    verified, done = verify(minimum, engine, step, _settings(0))
    assert len(engine.frames) == len(done) == 1
    assert engine.frames[0] is minimum.frame
    assert verified.frame is minimum.frame
    assert verified.label is verified.final_label
    assert verified.relax_steps == 0
    assert verified.model_error_eV == pytest.approx(1.5 - verified.label.energy_eV)


def test_every_step_is_one_label_and_the_energy_falls(minimum, step):
    engine = EmtLabels()
    verified, done = verify(minimum, engine, step, _settings(2, fmax_eV_A=1e-6))
    assert len(engine.frames) == len(done) == 3
    assert verified.relax_steps == 2
    assert len({frame.frame_id for frame, _ in done}) == 3
    assert verified.final_label.energy_eV == min(label.energy_eV for _, label in done)
    assert verified.final_label.energy_eV < verified.label.energy_eV
    assert verified.frame.origin is Origin.RELAXATION
    assert verified.frame.parent in {frame.frame_id for frame, _ in done}
    assert verified.frame.family == minimum.frame.family


def test_the_log_follows_every_label(minimum, step, caplog):
    with caplog.at_level("INFO", logger="defectscape.search.verification"):
        result, path = verify(minimum, EmtLabels(), step, _settings(3, 1e-6))
    lines = [r.getMessage() for r in caplog.records if r.name == "defectscape.search.verification"]
    assert len(lines) == len(path) >= 3
    assert "step 0 of at most 3, 0.000 eV below the start" in lines[0]
    gained_eV = path[0][1].energy_eV - result.final_label.energy_eV
    assert any(f"{gained_eV:.3f} eV below the start" in line for line in lines[1:])


def test_it_stops_at_convergence(minimum, step):
    engine = EmtLabels()
    verified, _ = verify(minimum, engine, step, _settings(100))
    assert verified.final_label.fmax_eV_A < 0.05
    assert verified.relax_steps < 30


def test_a_second_turn_goes_on_where_the_first_ended(minimum, step):
    once, path = verify(minimum, EmtLabels(), step, _settings(1, 1e-6))
    twice, longer = verify(minimum, EmtLabels(), step, _settings(1, 1e-6), turns=2)
    assert (once.relax_steps, twice.relax_steps) == (1, 2)
    assert [f.frame_id for f, _ in longer[:2]] == [f.frame_id for f, _ in path]
    assert twice.final_label.energy_eV < once.final_label.energy_eV


@pytest.fixture(scope="module")
def state(surface_of, step, vacancy):
    """The verification of a state by a wrong model: what was verified, the labels, and the verification."""

    def make(minima, settings, starts=EngineStarts(), engine=None, first=None):  # noqa: B008
        found = ModelSearch(tuple(minima), surface_of(lambda charge: WrongEmt()), step)
        operations = identity(vacancy.cell_A)
        ran = StateVerification(found, starts, engine or EmtLabels(), settings, MinimaSettings(), operations)
        ran.run(minima if first is None else first)
        return ran.verified(), ran.observations, ran

    return make


def test_a_minimum_that_may_fall_further_is_relaxed_further(vacancy, state):
    """The other's relaxation ends 0.2 eV above the ground state with forces that may hide more."""
    low, high = nudged(vacancy, 4, 0.02), nudged(vacancy, 5, 0.35)
    minima = [
        Minimum(rank, frame, energy, (energy, energy), 0.01, 0.0, ("x",), False)
        for rank, (frame, energy) in enumerate(((low, 1.0), (high, 1.1)))
    ]

    def run(most):
        settings = _settings(2, 0.02).model_copy(update={"most_per_charge": most})
        return state(minima, settings)[:2]

    verified, labelled = run(2)
    ended = verified[1]
    assert ended.relax_steps == 2
    gap_eV = ended.final_label.energy_eV - verified[0].final_label.energy_eV
    assert 0.02 < gap_eV < np.sum(ended.final_label.forces_eV_A**2)
    further, more = run(12)
    assert [item.minimum.rank for item in further] == [0, 1]
    assert further[1].relax_steps > 2
    assert further[1].final_label.energy_eV < ended.final_label.energy_eV
    assert len({frame.frame_id for frame, _ in more}) == len(more) > len(labelled)
    stopped, _ = run(3)
    assert stopped[1].relax_steps == 4, "the third check is a second turn"


def test_the_unperturbed_start_and_a_known_structure_are_relaxed_too(vacancy, dumbbell, state):
    """A model that knows one wrong minimum only: the engine's own relaxations find what it missed."""
    far = nudged(vacancy, 5, 0.35)
    only = Minimum(0, far, 1.0, (1.0, 1.0), 0.01, 0.0, ("x",), False)
    engine = EmtLabels()
    verified, labels, _ = state([only], _settings(8, 0.02), EngineStarts(plain=vacancy), engine)
    plain = next(item for item in verified if PLAIN in item.minimum.found_from)
    assert plain.final_label.fmax_eV_A < 0.02
    assert plain.minimum.from_unperturbed
    assert plain.final_energy_eV <= min(label.energy_eV for _, label in labels) + 0.03
    assert len(labels) == len(engine.frames), "every label is kept"

    # A structure that was labelled before and lies lower than all that the model found is relaxed from there.
    low = nudged(vacancy, 6, 0.01)
    known = LabelledFrame(low, EmtLabels()(low), "high")
    cut = _settings(0).model_copy(update={"most_per_charge": 1})
    found, *_ = state([only], cut, EngineStarts(known=known))
    assert min(found, key=lambda item: item.final_energy_eV).minimum.found_from == (KNOWN,)
    higher = LabelledFrame(far, Label(1e3, known.label.forces_eV_A), "high")
    found, *_ = state([only], cut, EngineStarts(known=higher))
    assert [item.minimum.rank for item in found] == [0]


def test_failed_labels_leave_the_others_their_turn(vacancy, state):
    """Neither the plain relaxation nor the first minimum can be computed: the next one is, and the state stays open."""
    frames = [nudged(vacancy, seed, 0.02) for seed in (4, 5)]
    minima = [Minimum(r, f, 1.0 + r, (1.0, 1.2), 0.01, 0.0, ("x",), False) for r, f in enumerate(frames)]

    class Fails(EmtLabels):
        def __call__(self, frame):
            return None if frame.frame_id in {vacancy.frame_id, frames[0].frame_id} else super().__call__(frame)

    settings = _settings(4, 0.2)
    verified, _, ran = state(minima, settings, EngineStarts(plain=vacancy), Fails(), first=minima[:1])
    assert [(item.minimum.rank, item.label is None) for item in verified] == [(0, True), (1, False)]
    assert ran.assessment().status == "open"
    assert ran.assessment().text == "the relaxation of the unperturbed start with the engine failed"
    nothing, labels, ran = state([], settings, EngineStarts(plain=vacancy), Fails())
    assert (nothing, labels, ran.assessment().text) == ((), (), "no minimum was verified")
    assert not ran.may_search_again


def test_two_relaxations_that_meet_are_one_minimum(vacancy, state):
    """The model's minimum next to the end of the plain relaxation goes on from that end: one label, no second row."""
    near = nudged(vacancy, 4, 0.01)
    minimum = Minimum(0, near, 1.0, (1.0, 1.0), 0.01, 0.0, ("x",), True)
    engine = EmtLabels()
    verified, labels, _ = state([minimum], _settings(8, 0.02), EngineStarts(plain=vacancy), engine)
    assert [item.minimum.rank for item in verified] == [0]
    assert verified[0].minimum.found_from == ("x", PLAIN)
    assert verified[0].label is not None
    assert verified[0].final_label.fmax_eV_A < 0.02
    alone, *_ = state([], _settings(8, 0.02), EngineStarts(plain=vacancy))
    assert len(labels) == alone[0].relax_steps + 2
    assert alone[0].minimum.rank == 0, "also where the model found nothing"


def test_finished_ends_of_one_minimum_leave_no_doubt_which_is_lowest(vacancy, state):
    """What forces below the limit may hide in one end is hidden in the other: both fall to the same energy."""
    minima = [
        Minimum(rank, nudged(vacancy, 4 + rank, 0.05), 1.0, (1.0, 1.0), 0.01, 0.0, ("x",), False) for rank in (0, 1)
    ]
    strict = {"tolerance_eV": 1e-6, "plain_relaxation": False, "search_error_eV": 9.0, "most_per_charge": 2}
    found, _, ran = state(minima, _settings(8).model_copy(update=strict))
    assert all(item.final_label.fmax_eV_A < 0.05 for item in found)
    assert ran.assessment().status == "certain"
    ended = state(minima, _settings(8, 1e-4).model_copy(update=strict))[2]
    assert ended.assessment().status == "open", "these have not converged"


class Deeper(EmtLabels):
    """What lies around one structure is lower by 0.5 eV."""

    def __init__(self, deeper):
        super().__init__()
        self.deeper = deeper

    def __call__(self, frame):
        label = super().__call__(frame)
        near = np.abs(frame.positions_A - self.deeper.positions_A).max() < 0.4
        return replace(label, energy_eV=label.energy_eV - 0.5 * near)


@pytest.fixture(scope="module")
def splits(dumbbell, emt, search):
    """Split interstitials of two directions, which are alike by symmetry."""
    usual = search.model_copy(update={"fmax_eV_A": 0.02})
    return tuple(relax(dumbbell(axis, std_A=0.02), emt, usual).final for axis in ((1, 0, 0), (0, 1, 0)))


def test_a_model_that_learned_searches_again(splits, state, surface_of, search):
    """The first model errs on what it found; the second one, the engine itself, finds the lower split interstitial."""
    usual = search.model_copy(update={"fmax_eV_A": 0.02})
    along_x, along_y = splits
    engine = Deeper(along_y)
    high_eV, low_eV = (engine(frame).energy_eV for frame in (along_x, along_y))
    found = Minimum(0, nudged(along_x, 1, 0.04), 1.0, (1.0, 1.0), 0.01, 0.0, ("x",), False)
    settings = _settings(8, 0.1).model_copy(update={"plain_relaxation": False, "search_error_eV": 0.01})
    spent = settings.model_copy(update={"most_per_charge": 1})
    assert not state([found], spent)[2].may_search_again, "no budget is left"

    verified, before, ran = state([found], settings, engine=engine)
    assert verified[0].final_energy_eV == pytest.approx(high_eV, abs=0.02)
    assert ran.may_search_again
    assert ran.assessment().status == "verified"
    assert "errs by up to" in ran.assessment().text
    minima = tuple(
        Minimum(rank, frame, energy_eV, (energy_eV, energy_eV), 0.01, 0.0, ("y",), False)
        for rank, (frame, energy_eV) in enumerate(((along_y, low_eV), (along_x, high_eV)))
    )

    class Learned(surface_of):
        """Knows the engine."""

        def evaluate(self, frame):
            energy_eV = Deeper(along_y)(frame).energy_eV
            return replace(super().evaluate(frame), energy_eV=energy_eV, member_energies_eV=(energy_eV,) * 2)

    learned = Learned(lambda charge: EMT())
    # A model that is wrong again, and not the last one: what it found is labelled and not relaxed.
    astray = nudged(along_y, 3, 0.1)
    wrong = Minimum(0, astray, low_eV - 5.0, (low_eV - 5.0,) * 2, 0.01, 0.0, ("z",), False)
    ran.again(ModelSearch((wrong,), learned, corrected_steps(learned, usual)), last=False)
    assert len(ran.observations) == len(before) + 1
    assert ran.search_error_eV > 4.0
    assert ran.may_search_again
    before = ran.observations
    ran.again(ModelSearch(minima, learned, corrected_steps(learned, usual)))
    first, _, second = ran.verified()
    assert len(ran.observations) == len(before) + 1, "the other one was known"
    assert second.final_energy_eV == pytest.approx(low_eV, abs=1e-3)
    assert (second.minimum.found_from, second.minimum.rank) == (("y",), 4)
    assert ran.search_error_eV < 0.01
    assert ran.assessment().status == "certain"
    own = surface_of(lambda charge: WrongEmt()).evaluate(second.minimum.frame)
    assert second.minimum.energy_eV == own.energy_eV, "the study's own model is held to its word"
    assert first.minimum.energy_eV == 1.0


@pytest.mark.parametrize(("found_again", "status"), [(False, "verified"), (True, "certain")])
def test_a_lower_structure_that_was_only_labelled_is_relaxed_in_the_end(
    splits, state, surface_of, search, found_again, status
):
    """A wrong model's minimum lies below all others; the next model finds nothing there, or nothing at all."""
    along_x, along_y = splits
    settings = _settings(8, 0.1).model_copy(update={"plain_relaxation": False, "search_error_eV": 0.01})
    first = Minimum(0, nudged(along_x, 1, 0.04), 1.0, (1.0, 1.0), 0.01, 0.0, ("x",), False)
    wrong = Minimum(0, nudged(along_y, 3, 0.012), -5.0, (-5.0, -5.0), 0.01, 0.0, ("y",), False)
    surface = surface_of(lambda charge: WrongEmt())
    steps = corrected_steps(surface, search.model_copy(update={"fmax_eV_A": 0.02}))

    def lowest(ran):
        return min(ran.verified(), key=lambda item: item.final_energy_eV)

    *_, ran = state([first], settings, engine=Deeper(along_y))
    ran.again(ModelSearch((wrong,), surface, steps), last=False)
    assert (lowest(ran).minimum.found_from, lowest(ran).relax_steps) == (("y",), 0)
    assert ran.assessment().status == "open"
    known = replace(first, frame=ran.verified()[0].frame)
    ran.again(ModelSearch((known,) if found_again else (), surface, steps))
    assert lowest(ran).minimum.found_from == ("y",)
    assert lowest(ran).final_label.fmax_eV_A < 0.1
    assert ran.assessment().status == status, "a model without minima takes no error away"


def test_a_model_s_curvature_saves_labels(minimum, step):
    """BFGS, which starts from a guess of 70 eV/A^2, needs several times as many."""
    atoms = to_atoms(minimum.frame)
    atoms.calc = EMT()
    optimiser = BFGS(atoms, logfile=None, maxstep=0.1)
    optimiser.run(fmax=0.02, steps=100)
    engine = EmtLabels()
    verified, _ = verify(minimum, engine, step, _settings(100, fmax_eV_A=0.02))
    assert verified.final_label.fmax_eV_A < 0.02
    assert len(engine.frames) <= (optimiser.get_number_of_steps() + 1) / 2
    assert verified.final_label.energy_eV == pytest.approx(atoms.get_potential_energy(), abs=2e-3)


def test_what_was_labelled_before_saves_labels(minimum, surface_of, search):
    """Where the model's curvature is wrong, a step that knows the last label alone repeats its error."""
    surface = surface_of(lambda charge: StiffEmt())
    remembering = corrected_steps(surface, search)

    def forgetful(observations, reach_A):
        return remembering([lowest_observation(observations)], reach_A)

    counts = []
    for step in (remembering, forgetful):
        engine = EmtLabels()
        verified, _ = verify(minimum, engine, step, _settings(100, fmax_eV_A=0.01))
        assert verified.final_label.fmax_eV_A < 0.01
        counts.append(len(engine.frames))
    assert counts[0] < counts[1]


def test_a_committee_that_disagrees_does_not_shorten_a_step(minimum, surface_of, search):
    """The engine labels the end of a step; the limit is for searches, where nobody does."""

    class Disagreeing(surface_of):
        def evaluate(self, frame):
            point = super().evaluate(frame)
            moved = np.linalg.norm(frame.positions_A - minimum.frame.positions_A, axis=1)
            return replace(point, force_std_eV_A=0.1 + 10.0 * moved)

    limits = search.model_copy(update={"stop_force_std_eV_A": 0.2})
    first = [(minimum.frame, EmtLabels()(minimum.frame))]
    ends = [
        corrected_steps(surface(lambda charge: WrongEmt()), settings)(first, REACH_A).frame
        for surface, settings in ((surface_of, search), (Disagreeing, limits))
    ]
    assert ends[0].frame_id == ends[1].frame_id != minimum.frame.frame_id


def test_no_atom_leaps(minimum, surface_of, search):
    """A surface that slopes without end: the step is cut, and cut again when the energy rises."""

    class Slope(EMT):
        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            pull = np.zeros_like(atoms.positions)
            pull[0, 0], pull[1, 0] = 3.0, -3.0
            self.results = {
                "energy": -float(np.sum(pull * atoms.positions)),
                "free_energy": 0.0,
                "forces": pull,
            }

    engine = EmtLabels(adds_eV=lambda call: 5.0 if call > 1 else 0.0)
    steep = corrected_steps(surface_of(lambda charge: Slope()), search)
    _, done = verify(minimum, engine, steep, _settings(2, fmax_eV_A=1e-6))
    lengths = [np.linalg.norm(frame.positions_A - minimum.frame.positions_A, axis=1).max() for frame, _ in done[1:]]
    assert lengths[0] <= REACH_A + 1e-9
    assert lengths[1] <= SHRINK * REACH_A + 1e-9


class Ring(Calculator):
    """Atom 0 in a ring-shaped valley about its place, stiff across and sloping along; the others on springs.

    Args:
        places_A: of all atoms, shape (n, 3), A.
    """

    implemented_properties: list[str] = ["energy", "free_energy", "forces"]  # noqa: RUF012
    radius_A, stiffness_eV_A2, slope_eV = 1.0, 50.0, 0.5

    def __init__(self, places_A):
        super().__init__()
        self.places_A = places_A

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        away = atoms.positions - self.places_A
        forces = -5.0 * away
        energy = 2.5 * float(np.sum(away[1:] ** 2))
        x, y, z = away[0]
        r = np.hypot(x, y)
        across = r - self.radius_A
        energy += 0.5 * self.stiffness_eV_A2 * (across**2 + z**2) - self.slope_eV * x / r
        radial = np.array([x, y]) / r
        push = -self.stiffness_eV_A2 * across * radial
        along = self.slope_eV * np.array([y * y, -x * y]) / r**3
        forces[0] = [*(push + along), -self.stiffness_eV_A2 * z]
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}


def test_round_a_bend_no_step_is_lost(minimum, surface_of, search):
    """The chord to the minimum across the ring rises, however short; the way along the valley falls."""
    places = minimum.frame.positions_A
    angle = np.deg2rad(150.0)
    shift = np.zeros_like(places)
    shift[0, :2] = np.cos(angle), np.sin(angle)
    start = minimum.frame.moved(places + shift, origin=Origin.START, note="on the ring")

    def engine(frame):
        atoms = to_atoms(frame)
        atoms.calc = Ring(places)
        return Label(atoms.get_potential_energy(), atoms.get_forces())

    step = corrected_steps(surface_of(lambda charge: Ring(places)), search)
    path = relax_with_engine(start, engine, step, 30, 0.05)
    energies = [label.energy_eV for _, label in path]
    assert energies == sorted(energies, reverse=True)
    assert lowest_observation(path)[1].fmax_eV_A < 0.05
    assert len(path) < 15
    ahead = [b.positions_A - a.positions_A for (a, _), (b, _) in pairwise(path)]
    assert max(np.linalg.norm(d, axis=1).max() for d in ahead) <= REACH_A + 1e-9


def test_after_a_step_that_helped_the_next_may_be_longer_again(minimum):
    """One step raises the energy, the next two lower it."""
    reaches = []

    def step(observations, reach_A):
        reaches.append(reach_A)
        frame, _ = lowest_observation(observations)
        return Step(nudged(frame, len(observations), 0.01), math.nan)

    engine = EmtLabels(adds_eV=lambda call: {2: 50.0, 3: -50.0, 4: -100.0}.get(call, 0.0))
    verify(minimum, engine, step, _settings(4, fmax_eV_A=1e-6))
    short = SHRINK * REACH_A
    assert reaches == [REACH_A, short, GROW * short, min(REACH_A, GROW**2 * short)]


@pytest.mark.parametrize(("share", "factor"), [(-0.1, SHRINK), (0.1, HALVE), (0.5, 1.0), (0.9, GROW), (1.5, GROW)])
def test_the_reach_follows_how_well_the_surface_foretold_the_step(minimum, share, factor):
    """The engine falls by a share of what the surface said."""
    reaches = []

    def step(observations, reach_A):
        reaches.append(reach_A)
        frame, _ = lowest_observation(observations)
        return Step(nudged(frame, len(reaches), 0.01), 1.0)

    # The first step halves the reach, so that there is room to grow.
    falls = iter([0.0, 0.1, share, 0.0])
    level_eV = 0.0

    def engine(frame):
        nonlocal level_eV
        level_eV -= next(falls)
        return Label(level_eV, np.ones((len(frame), 3)))

    relax_with_engine(minimum.frame, engine, step, 3, 1e-6)
    assert reaches[:3] == pytest.approx([REACH_A, HALVE * REACH_A, factor * HALVE * REACH_A])


def test_the_lowest_geometry_is_kept_not_the_last(minimum, step):
    engine = EmtLabels(adds_eV=lambda call: 10.0 if call > 2 else 0.0)
    verified, done = verify(minimum, engine, step, _settings(3, fmax_eV_A=1e-6))
    assert verified.final_label is done[1][1]
    assert verified.frame is done[1][0]


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_failed_label_ends_it_with_what_is_there(minimum, step, fails_at):
    engine = EmtLabels(fails_at=fails_at)
    verified, done = verify(minimum, engine, step, _settings(5, fmax_eV_A=1e-6))
    assert len(engine.frames) == fails_at
    assert len(done) == fails_at - 1
    if fails_at == 1:
        assert verified.label is None
        assert verified.final_label is None
        assert verified.model_error_eV is None
        assert verified.frame is minimum.frame
    else:
        assert verified.relax_steps == fails_at - 2
        assert np.isfinite(verified.final_label.energy_eV)


class FailsAbove:
    """A surface over a prior that fails wherever its energy is above a limit, eV."""

    def __init__(self, surface, limit_eV):
        self.surface, self.limit_eV = surface, limit_eV

    def evaluate(self, frame):
        return self.evaluate_many([frame])[0]

    def evaluate_many(self, frames):
        points = self.surface.evaluate_many(frames)
        if any(point.energy_eV > self.limit_eV for point in points):
            raise CalculationFailed("no convergence of the prior")
        return points


def test_geometries_at_which_the_prior_fails_have_no_part_in_a_step(vacancy, surface_of, search, caplog):
    surface, engine = surface_of(lambda charge: WrongEmt()), EmtLabels()
    frames = [nudged(vacancy, 4, 0.02), nudged(vacancy, 5, 0.1)]
    done = [(frame, engine(frame)) for frame in frames]
    low_eV, high_eV = (surface.evaluate(frame).energy_eV for frame in frames)
    assert low_eV < high_eV - 0.1
    failing = FailsAbove(surface, (low_eV + high_eV) / 2)
    found = corrected_steps(failing, search)(done, REACH_A).frame
    assert np.array_equal(found.positions_A, corrected_steps(surface, search)(done[:1], REACH_A).frame.positions_A)
    assert found.frame_id != corrected_steps(surface, search)(done, REACH_A).frame.frame_id
    assert "left out of the step: no convergence of the prior" in caplog.text


def test_without_the_prior_anywhere_there_is_no_step_and_the_labels_stay(minimum, surface_of, search, caplog):
    step = corrected_steps(FailsAbove(surface_of(lambda charge: WrongEmt()), -np.inf), search)
    verified, done = verify(minimum, EmtLabels(), step, _settings(5, 1e-6))
    assert len(done) == 1
    assert verified.final_label is done[0][1]
    assert "ends here, the model has no value at its geometries" in caplog.text
