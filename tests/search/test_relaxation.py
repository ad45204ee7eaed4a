"""Relaxations, one by one and together, and the dynamics and hopping that leave symmetric starts."""

import logging

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.optimize import BFGS, FIRE

from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Origin
from defectscape.domain.prediction import Prediction
from defectscape.files.atoms import to_atoms
from defectscape.search.global_search import hop, snapshots
from defectscape.search.matching import host_operations, rmsd_A
from defectscape.search.relaxation import (
    HANDOVER_EV_A,
    MAX_STEP_A,
    UNKNOWN_REGION,
    nudged,
    relax,
    relax_all,
)
from defectscape.search.symmetry import point_group
from defectscape.settings.search import DynamicsSettings, HoppingSettings
from defectscape.tools.surfaces import AseSurface

# Relaxations end in minima, or say why they did not.


def test_distorted_starts_fall_into_the_same_minimum(vacancy, copper, emt, search):
    standard = relax(vacancy, emt, search)
    operations = host_operations(copper, (0.0, 0.0, 0.0))
    for seed, std_A in ((1, 0.05), (2, 0.15), (3, 0.25)):
        found = relax(nudged(vacancy, seed, std_A), emt, search)
        assert found.converged
        assert found.reason == "converged"
        assert found.energy_eV == pytest.approx(standard.energy_eV, abs=1e-3)
        assert rmsd_A(found.final, standard.final, operations) < 0.02
    assert standard.fmax_eV_A <= search.fmax_eV_A
    assert standard.final.origin is Origin.MINIMUM
    assert standard.final.parent == vacancy.frame_id
    assert standard.final.family == vacancy.family


def test_relaxing_is_deterministic(dumbbell, emt, search):
    first, second = (relax(dumbbell((1, 1, 0)), emt, search) for _ in range(2))
    assert first.final.positions_A.tobytes() == second.final.positions_A.tobytes()
    assert first.energy_eV == second.energy_eV


def test_a_symmetric_start_stays_on_its_saddle_and_a_nudged_one_leaves(dumbbell, emt, search):
    """The <100> split interstitial of copper is a saddle point of EMT in this cell: by symmetry
    no force bends it, and a small displacement takes it to the octahedral site."""
    split = dumbbell((1, 0, 0), std_A=0.0)
    saddle = relax(split, emt, search)
    fallen = relax(nudged(split, 2, std_A=0.05), emt, search)
    assert saddle.converged
    assert fallen.converged
    assert point_group(saddle.final, 0.02) == "D4h"
    assert point_group(fallen.final, 0.1) == "Oh"
    assert fallen.energy_eV < saddle.energy_eV - 0.1


def test_nudging_keeps_the_centre_and_follows_its_seed(vacancy):
    a, b, c = nudged(vacancy, 1), nudged(vacancy, 1), nudged(vacancy, 2)
    assert a.frame_id == b.frame_id != c.frame_id
    moves = a.positions_A - vacancy.positions_A
    assert np.allclose(moves.mean(axis=0), 0.0, atol=1e-12)
    assert 0.007 < moves.std() < 0.013
    assert a.note == "unperturbed, nudged"


def test_the_path_is_thin_ordered_and_without_its_ends(dumbbell, emt, search):
    found = relax(dumbbell((1, 1, 1), 0.2), emt, search, path_frames=5)
    assert 1 <= len(found.path) <= 5
    ids = [found.start.frame_id, *(f.frame_id for f in found.path), found.final.frame_id]
    assert len(set(ids)) == len(ids)
    assert all(frame.origin is Origin.RELAXATION for frame in found.path)
    left = [np.linalg.norm(f.positions_A - found.final.positions_A) for f in found.path]
    assert left[0] > left[-1]
    assert relax(dumbbell((1, 1, 1), 0.2), emt, search, path_frames=0).path == ()


def test_step_limit_is_the_total(dumbbell, emt, search):
    found = relax(dumbbell((1, 0, 0), 0.2), emt, search.model_copy(update={"max_steps": 7}))
    assert (found.converged, found.reason, found.steps) == (False, "step limit", 7)
    assert found.final.origin is Origin.RELAXATION


def test_a_charge_changes_the_structure(frame_of, surface_of, search):
    """GFN1-xTB: an electron in the antibonding orbital lengthens N2 by several hundredths of A."""
    tblite = pytest.importorskip("tblite.ase")
    surface = surface_of(lambda charge: tblite.TBLite(method="GFN1-xTB", charge=charge, verbosity=0))
    close = search.model_copy(update={"shortest_distance_A": 0.8})
    lengths = {}
    for charge in (0, -1):
        atoms = Atoms("N2", positions=[[0, 0, 0], [0, 0, 1.15]], cell=[9, 9, 9], pbc=True)
        found = relax(frame_of(atoms, charge=charge), surface, close)
        assert found.converged
        assert found.final.charge == charge
        lengths[charge] = float(np.linalg.norm(np.diff(found.final.positions_A, axis=0)))
    assert lengths[-1] > lengths[0] + 0.03


def _pair(frame_of, distance_A, cell_A=20.0):
    atoms = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, distance_A]], cell=[cell_A] * 3, pbc=True)
    return frame_of(atoms)


def test_short_contacts_stop_before_the_surface_is_asked(frame_of, surface_of, search):
    """Through the periodic boundary: 19.4 A apart in a cell of 20 A is 0.6 A."""
    surface = surface_of(lambda charge: LennardJones(sigma=3.4, epsilon=0.05))
    found = relax(_pair(frame_of, 19.4), surface, search)
    assert found.reason == "two atoms came within 0.60 A"
    assert np.isnan(found.energy_eV)
    assert found.member_energies_eV == ()
    assert found.final.frame_id == found.start.frame_id


def test_a_contact_through_a_skewed_cell_is_seen(frame_of, surface_of, search):
    """Naive wrapping of fractional coordinates misses the nearest image here."""
    cell = np.array([[6.0, 0, 0], [5.9, 6.0, 0], [0, 0, 12.0]])
    target = -1 * cell[0] + 1 * cell[1]  # (-0.1, 6.0, 0): one atom sits 0.9 A from this image
    atoms = Atoms("Ar2", positions=[[0, 0, 0], target + np.array([0.9, 0, 0])], cell=cell, pbc=True)
    expected = atoms.get_distance(0, 1, mic=True)
    assert expected == pytest.approx(0.9)
    surface = surface_of(lambda charge: LennardJones(sigma=3.4, epsilon=0.05))
    assert relax(frame_of(atoms), surface, search).reason == "two atoms came within 0.90 A"


def test_flying_atoms_stop(frame_of, surface_of, search):
    """Two repelling atoms: the last healthy geometry is kept."""
    surface = surface_of(lambda charge: LennardJones(sigma=5.0, epsilon=0.1, rc=19.0))
    limits = search.model_copy(update={"max_displacement_A": 0.3})
    found = relax(_pair(frame_of, 4.5, 40.0), surface, limits)
    assert found.reason.startswith("an atom moved 0.")
    assert not found.converged
    moved = np.linalg.norm(found.final.positions_A - found.start.positions_A, axis=1)
    assert 0.1 < moved.max() <= 0.3
    assert np.isfinite(found.energy_eV)


class _BreaksLater(EMT):
    """EMT that goes wrong in one way from its fourth geometry on."""

    def __init__(self, how):
        super().__init__()
        self.how, self.calls = how, 0

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.calls += 1
        if self.calls > 3:
            self.how(self.results)


def _set(name, value):
    def change(results):
        results[name] = results[name] * 0 + value

    return change


def _raise(error):
    def change(results):
        raise error

    return change


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (_set("energy", np.nan), "non-finite energy"),
        (_set("forces", np.inf), "non-finite force"),
        (_set("energy", -1e4), "the energy fell by"),
        (_raise(CalculationFailed("no\nSCF")), "calculation failed: no SCF"),
    ],
)
def test_what_goes_wrong_is_recorded(dumbbell, emt, surface_of, search, how, reason):
    breaks = _BreaksLater(how)
    found = relax(dumbbell((1, 0, 0)), surface_of(lambda charge: breaks), search)
    assert found.reason.startswith(reason)
    assert not found.converged
    assert found.steps == 2
    # The last accepted geometry is kept, with its energy.
    assert found.energy_eV == pytest.approx(emt.evaluate(found.final).energy_eV)


def test_errors_of_the_model_are_not_swallowed(dumbbell, surface_of, search):
    error = ModelError("charge", 7, "Train on it first")
    breaks = _BreaksLater(_raise(error))
    with pytest.raises(ModelError, match="charge: 7"):
        relax(dumbbell((1, 0, 0)), surface_of(lambda charge: breaks), search)


def test_progress_reaches_the_log(vacancy, emt, search, caplog):
    with caplog.at_level(logging.INFO, logger="defectscape"):
        found = relax_all([vacancy, nudged(vacancy, 1)], emt, search)
    assert [relaxation.converged for relaxation in found] == [True, True]
    assert "relaxed 2 of 2" in caplog.text
    assert "0 s left" in caplog.text


# Relaxations together: the steps are those of ASE's own optimisers, whoever else is in the batch.


@pytest.fixture
def starts(vacancy, dumbbell):
    """Easy and hard ones, and one that must be stopped: atoms too close."""
    close = vacancy.positions_A.copy()
    close[0] = close[1] + [0.5, 0, 0]
    return [
        nudged(vacancy, 1, 0.05),
        dumbbell((1, 0, 0), 0.1),
        vacancy.moved(close, origin=vacancy.origin),
        nudged(vacancy, 2, 0.25),
        dumbbell((1, 1, 0), 0.1, 1),
        nudged(vacancy, 3, 0.1),
    ]


def by_ase(start, settings):
    """ASE's FIRE, then its BFGS, each by its own ``run``: atoms, steps, whether FIRE did any."""
    atoms = to_atoms(start)
    atoms.calc = EMT()
    rough = FIRE(atoms, logfile=None, maxstep=MAX_STEP_A)
    rough.run(fmax=HANDOVER_EV_A, steps=settings.max_steps)
    fine = BFGS(atoms, logfile=None, maxstep=MAX_STEP_A)
    fine.run(fmax=settings.fmax_eV_A, steps=settings.max_steps - rough.nsteps)
    return atoms, rough.nsteps + fine.nsteps, rough.nsteps > 0


@pytest.mark.parametrize("batch_size", [1, 2, 4, 16])
def test_steps_are_those_of_ase(starts, emt, search, batch_size) -> None:
    together = relax_all(starts, emt, search.model_copy(update={"batch_size": batch_size}))
    assert together[2].reason == "two atoms came within 0.50 A"
    rough = 0
    for number in (0, 1, 3, 4, 5):
        atoms, steps, was_rough = by_ase(starts[number], search)
        found = together[number]
        assert (found.reason, found.converged, found.steps) == ("converged", True, steps)
        np.testing.assert_allclose(found.final.positions_A, atoms.positions, atol=1e-10)
        assert found.energy_eV == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
        rough += was_rough
    assert rough >= 2, "some starts need FIRE, then BFGS"
    assert [r.start.frame_id for r in together] == [s.frame_id for s in starts]
    for start, found in zip(starts, together, strict=True):
        alone = relax(start, emt, search)
        assert [f.frame_id for f in alone.path] == [f.frame_id for f in found.path]


def test_step_limit_and_displacement_hold_for_each(starts, emt, search) -> None:
    for changes in ({"max_steps": 7}, {"max_displacement_A": 0.4}):
        limits = search.model_copy(update=changes | {"batch_size": 3})
        for start, found in zip(starts, relax_all(starts, emt, limits), strict=True):
            assert found.reason == relax(start, emt, limits).reason
    atoms, steps, _ = by_ase(starts[1], search.model_copy(update={"max_steps": 7}))
    (cut,) = relax_all(starts[1:2], emt, search.model_copy(update={"max_steps": 7}))
    assert (cut.reason, cut.steps, steps) == ("step limit", 7, 7)
    np.testing.assert_allclose(cut.final.positions_A, atoms.positions, atol=1e-10)


class Counting:
    """EMT that counts, and whose committee disagrees as a function of the distance travelled."""

    def __init__(self, surface, grows: float = 0.0) -> None:
        self.surface, self.grows = surface, grows
        self.batches: list[int] = []
        self.origin: dict[str, np.ndarray] = {}

    def evaluate_many(self, frames):
        self.batches.append(len(frames))
        points = []
        for frame in frames:
            point = self.surface.evaluate(frame)
            first = self.origin.setdefault(frame.note, frame.positions_A)
            moved = float(np.abs(frame.positions_A - first).max())
            std = np.full(len(frame), 0.1 + self.grows * moved)
            points.append(Prediction(point.energy_eV, (point.energy_eV,), point.forces_eV_A, std))
        return points


def test_a_finished_one_makes_room(starts, emt, search) -> None:
    surface = Counting(emt)
    found = relax_all(starts, surface, search.model_copy(update={"batch_size": 3}))
    assert max(surface.batches) == 3
    # Every geometry is evaluated once, the last one too.
    assert sum(surface.batches) == sum(r.steps + 1 for r in found if r.steps or r.converged)
    # The batch stays full as long as somebody waits.
    assert np.mean(surface.batches) > 2


class Failing:
    """EMT that fails at every geometry of one start but its first, as an engine may."""

    def __init__(self, surface, start) -> None:
        self.surface, self.start = surface, start

    def evaluate_many(self, frames):
        for frame in frames:
            if frame.note == self.start.note and frame.frame_id != self.start.frame_id:
                raise CalculationFailed("no\nSCF")
        return self.surface.evaluate_many(frames)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_failed_calculation_ends_its_own_relaxation_alone(starts, emt, search, batch_size) -> None:
    settings = search.model_copy(update={"batch_size": batch_size})
    some = starts[:4]
    healthy = relax_all(some, emt, settings)
    found = relax_all(some, Failing(emt, starts[1]), settings)
    assert (found[1].reason, found[1].converged) == ("calculation failed: no SCF", False)
    # The last geometry that was computed is kept, with its energy.
    assert found[1].steps == 0
    assert found[1].energy_eV == emt.evaluate(starts[1]).energy_eV
    for number in (0, 2, 3):
        assert found[number].reason == healthy[number].reason
        assert found[number].final.frame_id == healthy[number].final.frame_id


def test_where_the_committee_comes_to_disagree_it_stops_and_keeps_the_place(dumbbell, emt, search) -> None:
    start = dumbbell((1, 0, 0), 0.1)
    limits = search.model_copy(update={"stop_force_std_eV_A": 0.25, "batch_size": 4})
    (stopped,) = relax_all([start], Counting(emt, grows=1.0), limits)
    assert stopped.reason.startswith("the committee's forces came to differ by 0.")
    assert not stopped.converged
    moved = np.abs(stopped.final.positions_A - start.positions_A).max()
    assert 0.15 < moved < 0.15 + 0.13
    assert np.isfinite(stopped.energy_eV)
    (free,) = relax_all([start], Counting(emt, grows=1.0), search)
    assert free.converged or free.steps > stopped.steps


def test_where_the_committee_disagrees_at_the_end_it_has_converged_but_is_not_trusted(vacancy, emt, search) -> None:
    limits = search.model_copy(update={"max_force_std_eV_A": 0.05})
    found = relax(vacancy, Counting(emt), limits)
    assert found.reason == UNKNOWN_REGION
    assert found.converged
    assert not found.trusted
    assert found.final.origin == Origin.MINIMUM
    sure = relax(vacancy, Counting(emt), search)
    assert sure.converged
    assert sure.trusted


# Dynamics and hopping: what a symmetric start cannot leave, they leave; both follow their seed.


CENTRE = np.zeros(3)


@pytest.fixture(scope="module")
def surface():
    return AseSurface(EMT)


@pytest.fixture(scope="module")
def limits(search):
    return search.model_copy(update={"batch_size": 1, "fmax_eV_A": 0.02})


@pytest.fixture(scope="module")
def saddle(dumbbell, surface, limits):
    """The <100> split interstitial, which symmetry holds on a saddle point."""
    return relax(dumbbell((1, 0, 0), std_A=0.0), surface, limits)


def test_dynamics_leaves_a_saddle_point(saddle, surface, limits) -> None:
    settings = DynamicsSettings(temperature_K=600.0, steps=90, snapshots=3)
    taken = snapshots(saddle.final, surface, settings, limits, np.random.default_rng(4))
    assert [frame.note for frame in taken] == [
        "600 K for 60 fs",
        "600 K for 120 fs",
        "600 K for 180 fs",
    ]
    assert all(frame.origin is Origin.START for frame in taken)
    assert all(frame.parent == saddle.final.frame_id for frame in taken)
    quenched = relax_all(taken, surface, limits)
    assert min(r.energy_eV for r in quenched if r.converged) < saddle.energy_eV - 0.1
    again = snapshots(saddle.final, surface, settings, limits, np.random.default_rng(4))
    assert [f.frame_id for f in again] == [f.frame_id for f in taken]
    other = snapshots(saddle.final, surface, settings, limits, np.random.default_rng(5))
    assert other[0].frame_id != taken[0].frame_id


def test_dynamics_has_its_temperature(vacancy, surface, limits) -> None:
    """Equipartition: displacements grow with the temperature, and none without it."""
    spreads = []
    for temperature in (1e-6, 100.0, 900.0):
        settings = DynamicsSettings(temperature_K=temperature, steps=60, snapshots=1)
        start = relax(vacancy, surface, limits).final
        (last,) = snapshots(start, surface, settings, limits, np.random.default_rng(1))
        spreads.append(float(np.std(last.positions_A - start.positions_A)))
    assert spreads[0] < 1e-3
    assert 2 * spreads[1] < spreads[2] < 4.5 * spreads[1]


def test_dynamics_ends_where_a_relaxation_would(saddle, surface, limits) -> None:
    tight = limits.model_copy(update={"max_displacement_A": 0.6})
    settings = DynamicsSettings(temperature_K=1500.0, steps=200, snapshots=50)
    taken = snapshots(saddle.final, surface, settings, tight, np.random.default_rng(4))
    assert 0 < len(taken) < 50
    for frame in taken:
        moved = np.linalg.norm(frame.positions_A - saddle.final.positions_A, axis=1).max()
        assert moved <= 0.6


def test_hopping_leaves_a_saddle_point_and_its_chains_are_their_own(saddle, vacancy, surface, limits) -> None:
    settings = HoppingSettings(hops=2, step_A=0.2, radius_A=3.0)
    still = relax(vacancy, surface, limits).final

    def run(frames):
        rngs = [np.random.default_rng(n) for n in range(len(frames))]
        return hop(frames, surface, settings, limits, CENTRE, rngs)

    both = run([saddle.final, still])
    assert len(both) == 4
    assert [r.start.note for r in both] == ["hop 1", "hop 1", "hop 2", "hop 2"]
    best = min(r.energy_eV for r in both if r.converged and len(r.start) == len(saddle.final))
    assert best < saddle.energy_eV - 0.1
    alone = run([saddle.final])
    assert [r.energy_eV for r in alone] == [r.energy_eV for r in both[::2]]


def test_a_chain_that_the_prior_fails_for_costs_itself_alone(saddle, vacancy, surface, limits, caplog) -> None:
    still = relax(vacancy, surface, limits).final
    settings = HoppingSettings(hops=1, step_A=0.2, radius_A=3.0)

    class FailsForTheSaddle:
        def evaluate_many(self, frames):
            if any(frame is saddle.final for frame in frames):
                raise CalculationFailed("no convergence of the prior")
            return surface.evaluate_many(frames)

    rngs = [np.random.default_rng(n) for n in range(2)]
    (left,) = hop([saddle.final, still], FailsForTheSaddle(), settings, limits, CENTRE, rngs)
    both = hop([saddle.final, still], surface, settings, limits, CENTRE, [np.random.default_rng(n) for n in range(2)])
    assert left.energy_eV == both[1].energy_eV
    assert "no hops from there: no convergence of the prior" in caplog.text


def test_only_atoms_near_the_defect_are_kicked(saddle, surface, limits) -> None:
    settings = HoppingSettings(hops=1, step_A=0.2, radius_A=2.0)
    (found,) = hop([saddle.final], surface, settings, limits, CENTRE, [np.random.default_rng(0)])
    moved = np.linalg.norm(found.start.positions_A - saddle.final.positions_A, axis=1) > 0
    assert moved.sum() == 2, "the two atoms of the dumbbell"


def test_a_failed_hop_is_recorded_and_not_gone_on_from(saddle, surface, limits) -> None:
    """Kicks of 3 A bring atoms together: every hop must start from the same place."""
    settings = HoppingSettings(hops=3, step_A=3.0, radius_A=9.0)
    tight = limits.model_copy(update={"shortest_distance_A": 2.2})
    found = hop([saddle.final], surface, settings, tight, CENTRE, [np.random.default_rng(0)])
    assert len(found) == 3
    assert all(not r.converged for r in found)
    assert {r.start.parent for r in found} == {saddle.final.frame_id}
