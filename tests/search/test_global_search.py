"""Dynamics and hopping: what a symmetric start cannot leave, they leave; both follow their seed."""

import numpy as np
import pytest
from ase.calculators.calculator import CalculationFailed
from ase.calculators.emt import EMT

from defectscape.domain.frame import Origin
from defectscape.search.global_search import hop, snapshots
from defectscape.search.relaxation import relax, relax_all
from defectscape.settings.search import DynamicsSettings, HoppingSettings
from defectscape.tools.ase_surface import AseSurface

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
