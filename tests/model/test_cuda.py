"""On a GPU: the same models, the same answers, the same minima as on the processor, to rounding."""

import numpy as np
import pytest
import torch
from ase import Atoms
from mace.calculators import MACECalculator

from defectscape.model.committee import Committee
from defectscape.model.saving import load_network
from defectscape.model.training import train_member
from defectscape.search.relaxation import relax_all
from defectscape.settings.search import SearchSettings
from defectscape.study.committees import CommitteeSurface

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

FIDELITIES = ("low", "high")


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_a_committee_says_the_same_on_both(model_paths, frame_of, fidelity) -> None:
    frames = [frame_of(seed, charge) for seed in (60, 61) for charge in (0, -2, 1)]
    one, other = (Committee.load(model_paths, device).evaluate_many(frames, fidelity) for device in ("cpu", "cuda"))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.member_energies_eV, b.member_energies_eV, rtol=0, atol=1e-8)
        np.testing.assert_allclose(a.forces_eV_A, b.forces_eV_A, rtol=0, atol=1e-8)
        np.testing.assert_allclose(a.force_std_eV_A, b.force_std_eV_A, rtol=0, atol=1e-8)


@pytest.mark.parametrize("strategy", ["high_only", "heads", "delta"])
def test_training_goes_the_same_way(train_data, valid_data, settings_of, frame_of, tmp_path, strategy) -> None:
    histories, energies = [], []
    for device in ("cpu", "cuda"):
        changes = {"steps": 20, "validate_every": 10, "strategy": strategy, "device": device}
        if strategy == "delta":
            changes["pretrain_steps"] = 20
        path = tmp_path / device
        settings = settings_of(**changes)
        histories.append(train_member(train_data, valid_data, FIDELITIES, settings, 3, 0, path))
        # A file written after training on a GPU is one for every machine.
        assert {p.device.type for p in load_network(path).parameters()} == {"cpu"}
        point = Committee.load([path]).evaluate_many([frame_of(60, 0)], "high")[0]
        energies.append(point.energy_eV)
    for a, b in zip(*(history.validations for history in histories), strict=True):
        assert a.step == b.step
        assert a.loss == pytest.approx(b.loss, rel=1e-4)
    assert energies[0] == pytest.approx(energies[1], abs=1e-4)


def test_killed_on_a_gpu_it_goes_on(train_data, valid_data, settings_of, tmp_path, caplog, killed_at) -> None:
    settings = settings_of(steps=30, validate_every=5, device="cuda")
    arguments = (train_data, valid_data, FIDELITIES, settings, 3, 0)
    whole = train_member(*arguments, tmp_path / "whole")
    with killed_at("step 10/"):
        train_member(*arguments, tmp_path / "parts", checkpoint=tmp_path / "point")
    parts = train_member(*arguments, tmp_path / "parts", checkpoint=tmp_path / "point")
    assert "continuing from step 5" in caplog.text
    for a, b in zip(whole.validations, parts.validations, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-4)


def test_plain_mace_on_a_gpu_agrees(model_paths, frame_of) -> None:
    frame = frame_of(60, 1)
    calculator = MACECalculator(
        model_paths=[str(model_paths[0])],
        device="cuda",
        default_dtype="float64",
        head="high",
        info_keys={"total_charge": "total_charge"},
    )
    atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
    atoms.info["total_charge"] = frame.charge
    atoms.calc = calculator
    point = Committee.load(model_paths[:1]).evaluate_many([frame], "high")[0]
    assert atoms.get_potential_energy() == pytest.approx(point.energy_eV, abs=1e-6)


def test_the_same_minima_are_found(model_paths, frame_of) -> None:
    settings = SearchSettings(
        fmax_eV_A=0.02, max_steps=60, cross_seeds_per_charge=0, max_force_std_eV_A=9.0, batch_size=4
    )
    starts = [frame_of(seed, charge, amplitude_A=0.15) for seed in (90, 91) for charge in (1, 0)]
    one, other = (
        relax_all(starts, CommitteeSurface(Committee.load(model_paths, device), "high"), settings)
        for device in ("cpu", "cuda")
    )
    for a, b in zip(one, other, strict=True):
        assert (a.reason, a.steps) == (b.reason, b.steps)
        assert a.energy_eV == pytest.approx(b.energy_eV, abs=1e-6)
        np.testing.assert_allclose(a.final.positions_A, b.final.positions_A, atol=1e-5)
