"""A prior of engines: its terms, its store, its failures, whatever is computed side by side."""

import json
import os
import signal

import numpy as np
import pytest
from ase.calculators.calculator import CalculationFailed

from defectscape.engines.prior import EnginePrior
from defectscape.engines.registry import make_engine
from defectscape.settings.engine import PriorSettings
from defectscape.store.labels import LabelStore

GFN1 = {"kind": "tblite", "method": "GFN1-xTB", "electronic_temperature_K": 1500.0}
IPEA1 = {**GFN1, "method": "IPEA1-xTB"}


@pytest.fixture
def prior(tmp_path):
    def make(processes=1, **settings):
        return EnginePrior(PriorSettings.model_validate(settings), LabelStore(tmp_path / "priors"), processes)

    return make


def _engine(settings):
    return make_engine(PriorSettings.model_validate({"engine": settings}).engine)


def test_it_is_its_engine_in_the_charge_and_spin_of_each_frame(prior, crystal, frame_of) -> None:
    atoms = crystal("CdTe", vacancy=True)
    frames = [frame_of(atoms, charge) for charge in (0, 1, -2)]
    found = prior(engine=GFN1).evaluate_many(frames)
    for frame, label in zip(frames, found, strict=True):
        direct = _engine(GFN1).compute(frame, 0)
        assert label.energy_eV == direct.energy_eV
        assert np.array_equal(label.forces_eV_A, direct.forces_eV_A)
    assert len({label.energy_eV for label in found}) == 3


def test_a_landscape_is_shared_by_all_charges_and_the_engine_adds_what_the_charge_does(
    prior, crystal, frame_of
) -> None:
    atoms = crystal("CdTe", vacancy=True)
    neutral, charged = (frame_of(atoms, charge) for charge in (0, -1))
    both = prior(engine=IPEA1, landscape=GFN1)
    at_neutral, at_charged = both.evaluate_many([neutral, charged])
    landscape = _engine(GFN1).compute(neutral, 0)
    here, there = (_engine(IPEA1).compute(frame, 0) for frame in (charged, neutral))
    assert at_neutral.energy_eV == pytest.approx(landscape.energy_eV, abs=1e-9)
    expected_eV = landscape.energy_eV + here.energy_eV - there.energy_eV
    assert at_charged.energy_eV == pytest.approx(expected_eV, abs=1e-9)
    expected_eV_A = landscape.forces_eV_A + here.forces_eV_A - there.forces_eV_A
    assert at_charged.forces_eV_A == pytest.approx(expected_eV_A, abs=1e-9)


def test_side_by_side_gives_the_same_in_the_same_order(prior, crystal, frame_of) -> None:
    frames = [frame_of(crystal("CdTe", rattles=((0.1, seed),)), seed % 2) for seed in range(6)]
    one, two = (prior(processes=count, engine=GFN1).evaluate_many(frames) for count in (1, 3))
    assert [label.energy_eV for label in one] == [label.energy_eV for label in two]


def test_what_is_labelled_is_kept_in_its_store_and_not_computed_again(prior, crystal, frame_of, monkeypatch) -> None:
    frames = [frame_of(crystal("CdTe"), 0)]
    first = prior(engine=GFN1)
    (label,) = first.label_many(frames)
    (call,) = first.store.calls()
    assert call.status == "ok"
    assert call.core_s > 0
    again = prior(engine=GFN1)
    monkeypatch.setattr("defectscape.engines.isolated.WorkerProcess", None)
    assert again.label_many(frames)[0].energy_eV == label.energy_eV
    assert again.evaluate_many(frames)[0].energy_eV == label.energy_eV


def test_geometries_of_a_search_are_remembered_but_not_stored(prior, crystal, frame_of, monkeypatch) -> None:
    frames = [frame_of(crystal("CdTe"), 0)]
    searching = prior(engine=GFN1)
    (label,) = searching.evaluate_many(frames)
    assert list(searching.store.records()) == []
    monkeypatch.setattr("defectscape.engines.isolated.IsolatedEngine.compute", None)
    assert searching.evaluate_many(frames)[0] is label


def test_a_failure_is_recorded_and_ends_the_relaxation_that_it_belongs_to(prior, crystal, frame_of) -> None:
    good, impossible = frame_of(crystal("CdTe"), 0), frame_of(crystal("CdTe"), 60)
    made = prior(engine=GFN1)
    label, missing = made.label_many([good, impossible])
    assert label is not None
    assert missing is None
    (failure,) = [record.failure for record in made.store.records() if record.failure]
    assert "more than one electron" in failure
    with pytest.raises(CalculationFailed, match="more than one electron"):
        made.evaluate_many([good, impossible])


def test_its_name_holds_what_changes_its_values(prior) -> None:
    names = {
        prior(engine=GFN1).name,
        prior(engine=IPEA1).name,
        prior(engine={**GFN1, "electronic_temperature_K": 300.0}).name,
        prior(engine=GFN1, landscape=IPEA1).name,
    }
    assert len(names) == 4
    assert prior(engine=GFN1).name == prior(processes=2, engine={**GFN1, "max_iterations": 99}).name
    (term,) = json.loads(prior(engine=GFN1).name)
    assert (term["engine"], term["sign"], term["neutral"]) == ("tblite/GFN1-xTB", 1, False)


def test_a_worker_that_dies_costs_no_negative_time(prior, crystal, frame_of) -> None:
    made = prior(engine=GFN1)
    made.label_many([frame_of(crystal("CdTe"), 0)])
    (pool,) = set(made._pools)
    used_s = pool.engine.core_seconds()
    assert used_s > 0
    os.kill(pool.engine._worker.number, signal.SIGKILL)
    pool.engine._worker._process.wait()
    made.label_many([frame_of(crystal("CdTe", rattles=((0.1, 5),)), 0)])
    made.label_many([frame_of(crystal("CdTe", rattles=((0.1, 6),)), 0)])
    assert pool.engine.core_seconds() > used_s
    assert all(call.core_s >= 0 for call in made.store.calls())


def test_two_terms_of_one_engine_share_its_processes(prior) -> None:
    both = prior(engine=IPEA1, landscape=GFN1)
    landscape, state, neutral = both._pools
    assert state is neutral
    assert landscape is not state
