"""Relaxations together: the steps are those of ASE's own optimisers, whoever else is in the batch."""

import numpy as np
import pytest
from ase.calculators.calculator import CalculationFailed
from ase.calculators.emt import EMT
from ase.optimize import BFGS, FIRE

from defectscape.domain.frame import Origin
from defectscape.domain.prediction import Prediction
from defectscape.files.atoms import to_atoms
from defectscape.search.relaxation import (
    HANDOVER_EV_A,
    MAX_STEP_A,
    UNKNOWN_REGION,
    nudged,
    relax,
    relax_all,
)


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
