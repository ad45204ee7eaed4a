"""Relaxations together: the same steps as one by one, whoever else is in the batch."""

import numpy as np
import pytest
from ase.calculators.emt import EMT

from defectscape.domain.frame import Origin
from defectscape.search.batches import relax_all
from defectscape.search.matching import host_operations, rmsd_A
from defectscape.search.relaxation import UNKNOWN_REGION, nudged, relax
from defectscape.search.surface import SurfacePoint


@pytest.fixture
def starts(vacancy, dumbbell):
    """Easy and hard ones, and two that must be stopped: atoms too close, atoms gone too far."""
    close = vacancy.positions_A.copy()
    close[0] = close[1] + [0.5, 0, 0]
    return [
        nudged(vacancy, 1, 0.05), dumbbell((1, 0, 0), 0.1), vacancy.moved(close, origin=vacancy.origin),
        nudged(vacancy, 2, 0.25), dumbbell((1, 1, 0), 0.1, 1), nudged(vacancy, 3, 0.1),
    ]  # fmt: skip


@pytest.mark.parametrize("batch_size", [2, 4, 16])
def test_steps_are_those_of_one_by_one(starts, emt, search, batch_size) -> None:
    alone = [relax(start, emt, search) for start in starts]
    together = relax_all(starts, emt, search.model_copy(update={"batch_size": batch_size}))
    for one, other in zip(alone, together, strict=True):
        assert (one.reason, one.converged, one.steps) == (
            other.reason,
            other.converged,
            other.steps,
        )
        np.testing.assert_allclose(one.final.positions_A, other.final.positions_A, atol=1e-10)
        assert one.energy_eV == pytest.approx(other.energy_eV, abs=1e-10, nan_ok=True)
        assert [f.frame_id for f in one.path] == [f.frame_id for f in other.path]
        assert other.start is not None
    assert [r.start.frame_id for r in together] == [s.frame_id for s in starts]
    assert together[2].reason == "two atoms came within 0.50 A"
    assert sum(r.converged for r in together) == 5


def test_step_limit_and_displacement_hold_for_each(starts, emt, search) -> None:
    for changes in ({"max_steps": 7}, {"max_displacement_A": 0.4}):
        limits = search.model_copy(update=changes | {"batch_size": 3})
        for start, found in zip(starts, relax_all(starts, emt, limits), strict=True):
            assert found.reason == relax(start, emt, limits).reason


class Counting:
    """EMT that counts, and whose committee disagrees as a function of the distance travelled."""

    def __init__(self, surface, grows: float = 0.0) -> None:
        self.surface, self.grows = surface, grows
        self.batches: list[int] = []
        self.origin: dict[str, np.ndarray] = {}

    def evaluate(self, frame):
        return self.surface.evaluate(frame)

    def calculator(self, charge):
        return self.surface.calculator(charge)

    def evaluate_many(self, frames):
        self.batches.append(len(frames))
        points = []
        for frame in frames:
            point = self.surface.evaluate(frame)
            first = self.origin.setdefault(frame.note, frame.positions_A)
            moved = float(np.abs(frame.positions_A - first).max())
            std = np.full(len(frame), 0.1 + self.grows * moved)
            points.append(SurfacePoint(point.energy_eV, (point.energy_eV,), point.forces_eV_A, std))
        return points


class Disagreeing(Counting):
    """EMT whose committee disagrees by 0.1 eV/A everywhere."""

    def evaluate(self, frame):
        return self.evaluate_many([frame])[0]


def test_a_finished_one_makes_room(starts, emt, search) -> None:
    surface = Counting(emt)
    found = relax_all(starts, surface, search.model_copy(update={"batch_size": 3}))
    assert max(surface.batches) == 3
    assert sum(surface.batches) == sum(r.steps + 1 for r in found if r.steps or r.converged)
    # The batch stays full as long as somebody waits.
    assert np.mean(surface.batches) > 2


def test_where_the_committee_comes_to_disagree_it_stops_and_keeps_the_place(
    dumbbell, emt, search
) -> None:
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


def test_where_the_committee_disagrees_at_the_end_it_has_converged_but_is_not_trusted(
    vacancy, emt, search
) -> None:
    limits = search.model_copy(update={"max_force_std_eV_A": 0.05})
    for found in (
        relax_all([vacancy], Disagreeing(emt), limits)[0],
        relax(vacancy, Disagreeing(emt), limits),
    ):
        assert found.reason == UNKNOWN_REGION
        assert found.converged
        assert not found.trusted
        assert found.final.origin == Origin.MINIMUM
    (sure,) = relax_all([vacancy], Disagreeing(emt), search)
    assert sure.converged
    assert sure.trusted


def test_the_reference_path_stops_there_too(dumbbell, surface_of, search) -> None:
    class Doubtful(EMT):
        first = None

        def calculate(self, atoms=None, *args, **kwargs):
            super().calculate(atoms, *args, **kwargs)
            self.first = atoms.positions.copy() if self.first is None else self.first
            self.results["force_std"] = 0.1 + float(np.abs(atoms.positions - self.first).max())

    surface = surface_of(lambda charge: Doubtful())
    limits = search.model_copy(update={"stop_force_std_eV_A": 0.25})
    found = relax(dumbbell((1, 0, 0), 0.1), surface, limits)
    assert found.reason.startswith("the committee's forces came to differ by 0.")


def test_minima_of_both_paths_are_one(copper, starts, emt, search) -> None:
    operations = host_operations(copper, (0.0, 0.0, 0.0))
    alone = relax(starts[0], emt, search)
    (together, *_) = relax_all(starts, emt, search)
    assert rmsd_A(alone.final, together.final, operations) < 1e-6
