"""The committee: one answer on every path, mean and standard deviation, refusals; mace's own calculator."""

import logging

import numpy as np
import pytest
from ase import Atoms
from ase.optimize import BFGS

from defectscape.domain.errors import ModelError
from defectscape.model.committee import Committee
from defectscape.model.errors import error_table
from defectscape.model.training import train_member


def as_atoms(frame) -> Atoms:
    return Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)


def test_batch_single_and_calculator_agree(committee, frame_of) -> None:
    frames = [frame_of(seed, charge) for seed in (20, 21) for charge in (-2, 0, 1)]
    batched = committee.evaluate_many(frames, "high", batch_size=4)
    for frame, prediction in zip(frames, batched, strict=True):
        single = committee.evaluate(frame, "high")
        assert prediction.energy_eV == pytest.approx(single.energy_eV, abs=1e-8)
        assert prediction.forces_eV_A == pytest.approx(single.forces_eV_A, abs=1e-8)
        assert prediction.force_std_eV_A == pytest.approx(single.force_std_eV_A, abs=1e-8)
        atoms = as_atoms(frame)
        atoms.calc = committee.calculator(frame.charge, "high")
        assert atoms.get_potential_energy() == pytest.approx(single.energy_eV, abs=1e-8)
        assert atoms.get_forces() == pytest.approx(single.forces_eV_A, abs=1e-8)


def test_mean_and_standard_deviation_are_those_of_the_members(model_paths, committee, frame_of) -> None:
    frame = frame_of(22, 1)
    both = committee.evaluate(frame, "low")
    alone = [Committee.load([path]).evaluate(frame, "low") for path in model_paths]
    energies = [prediction.energy_eV for prediction in alone]
    assert both.member_energies_eV == pytest.approx(energies, abs=1e-8)
    assert both.energy_eV == pytest.approx(np.mean(energies), abs=1e-8)
    difference = alone[0].forces_eV_A - alone[1].forces_eV_A
    # Two members: the sample standard deviation is |a - b| / sqrt(2).
    std = np.linalg.norm(difference, axis=1) / np.sqrt(2)
    assert both.force_std_eV_A == pytest.approx(std, abs=1e-8)
    assert np.all(np.isnan(alone[0].force_std_eV_A))


def test_trained_committee_knows_the_charge_dependent_forces(committee, data_of) -> None:
    table = error_table(committee, data_of(range(200, 206)))
    forces = [np.std(parity.label_forces_eV_A) for parity in table.parity]
    for row in table.rows:
        if row.defect is None:
            assert row.forces_rmse_meV_A < 400 * forces[row.fidelity == "high"]
    # Forces of two charges at one geometry differ as the labels do: the embedding reaches them.
    one, two = (data_of([200], charges=(charge,))[1] for charge in (-2, 1))
    label = one.label.forces_eV_A - two.label.forces_eV_A
    answers = [committee.evaluate(item.frame, "high").forces_eV_A for item in (one, two)]
    model = answers[0] - answers[1]
    assert np.sum(model * label) / np.sqrt(np.sum(model**2) * np.sum(label**2)) > 0.5
    assert np.abs(model).max() > 0.05


def test_states_not_trained_on_are_refused(committee, frame_of, caplog) -> None:
    frame = frame_of(23, 0)
    with pytest.raises(ModelError, match="charge: -1"):
        committee.evaluate(frame.recharged(-1, origin=frame.origin), "high")
    with pytest.raises(ModelError, match="fidelity: 'hse06'"):
        committee.evaluate(frame, "hse06")
    with pytest.raises(ModelError, match="charge: -1"):
        committee.calculator(-1, "high")
    with pytest.raises(ModelError, match="integer"):
        committee.calculator(0.0, "high")
    with pytest.raises(ModelError, match="fidelity: 'hse06'"):
        committee.calculator(0, "hse06")
    atoms = as_atoms(frame)
    atoms.calc = committee.calculator(0, "high")
    atoms.info["total_charge"] = 1
    with pytest.raises(ModelError, match="total_charge of the atoms: 1"):
        atoms.get_forces()
    atoms.info.clear()
    atoms.numbers[0] = 34
    with pytest.raises(ModelError, match="atomic number: 34"):
        atoms.get_forces()
    atoms.numbers[0] = 48
    atoms.pbc = (True, True, False)
    with pytest.raises(ModelError, match="periodicity"):
        atoms.get_forces()


def test_another_size_is_refused(committee, frame_of) -> None:
    atoms = as_atoms(frame_of(24, 0)) * (2, 1, 1)
    atoms.calc = committee.calculator(0, "high")
    with pytest.raises(ModelError, match=r"number of atoms: 14.*trained on 7 atoms"):
        atoms.get_forces()


def test_defect_never_trained_in_this_charge_is_warned_of(committee, frame_of, caplog) -> None:
    caplog.set_level(logging.WARNING)
    committee.evaluate(frame_of(25, 0, defect="v_Te"), "high")
    assert "v_Te_0 has no training frame" in caplog.text


def test_members_of_different_trainings_are_refused(model_paths, data_of, settings_of, tmp_path) -> None:
    path = tmp_path / "other"
    settings = settings_of(steps=1, channels=4)
    data = data_of(range(4), charges=(0, 1))
    train_member(data, data_of([100], charges=(0,)), ("low", "high"), settings, 1, 1, path)
    with pytest.raises(ModelError, match="keys of a committee member"):
        Committee.load([model_paths[0], path])
    with pytest.raises(ModelError, match="no members"):
        Committee.load([])


def test_ase_relaxes_on_the_committee_surface(committee, frame_of) -> None:
    atoms = as_atoms(frame_of(26, -2))
    atoms.calc = committee.calculator(-2, "high")
    start = atoms.get_potential_energy()
    BFGS(atoms, logfile=None).run(fmax=0.05, steps=15)
    assert atoms.get_potential_energy() < start
    assert atoms.calc.prediction.energy_eV == pytest.approx(atoms.get_potential_energy())


@pytest.mark.parametrize("fidelity", ["low", "high"])
@pytest.mark.parametrize("key", ["charge", "total_charge"])
def test_plain_mace_calculator_agrees(model_paths, committee, frame_of, fidelity, key) -> None:
    from mace.calculators import MACECalculator

    frame = frame_of(27, -2)
    ours = committee.evaluate(frame, fidelity)
    keys = {} if key == "charge" else {"info_keys": {"total_charge": "total_charge"}}
    for path, energy in zip(model_paths, ours.member_energies_eV, strict=True):
        atoms = as_atoms(frame)
        atoms.info[key] = -2
        atoms.calc = MACECalculator(model_paths=str(path), head=fidelity, device="cpu", **keys)
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-6)
        forces = Committee.load([path]).evaluate(frame, fidelity).forces_eV_A
        assert atoms.get_forces() == pytest.approx(forces, abs=1e-6)


def test_plain_mace_calculator_takes_a_missing_charge_for_zero(
    model_paths, data_of, settings_of, frame_of, tmp_path
) -> None:
    # The trap that the model card warns of: silent where charge 0 was trained on.
    from mace.calculators import MACECalculator

    frame = frame_of(28, -2)
    atoms = as_atoms(frame)
    atoms.calc = MACECalculator(model_paths=str(model_paths[0]), head="high", device="cpu")
    member = Committee.load(model_paths[:1])
    neutral = member.evaluate(frame.recharged(0, origin=frame.origin), "high")
    assert atoms.get_potential_energy() == pytest.approx(neutral.energy_eV, abs=1e-6)
    assert abs(neutral.energy_eV - member.evaluate(frame, "high").energy_eV) > 1
    assert "charge 0 in silence" in member.card.warning
    # Where it was not, even mace's calculator is refused.
    path = tmp_path / "charged"
    data, valid = data_of(range(4), charges=(1,)), data_of([100], charges=(1,))
    settings = settings_of(steps=1, channels=4)
    train_member(data, valid, ("low", "high"), settings, 1, 0, path)
    atoms.calc = MACECalculator(model_paths=str(path), head="high", device="cpu")
    with pytest.raises(ModelError, match="total_charge: 0"):
        atoms.get_potential_energy()


def test_float32_keeps_large_totals(train_data, valid_data, settings_of, frame_of, tmp_path):
    from mace.calculators import MACECalculator

    path = tmp_path / "single"
    settings = settings_of(steps=20, dtype="float32", channels=4)
    train_member(train_data, valid_data, ("low", "high"), settings, 1, 0, path)
    committee = Committee.load([path])
    frame = frame_of(29, 1)
    prediction = committee.evaluate(frame, "high")
    # float32 at -3100 eV has steps of 0.24 meV; a move of 1e-6 A must not be lost in them.
    positions = frame.positions_A.copy()
    atom = int(np.argmax(np.abs(prediction.forces_eV_A[:, 0])))
    positions[atom, 0] += 1e-3
    moved = committee.evaluate(frame.moved(positions, origin=frame.origin), "high")
    change = moved.energy_eV - prediction.energy_eV
    assert change == pytest.approx(-prediction.forces_eV_A[atom, 0] * 1e-3, rel=0.1, abs=2e-5)
    atoms = as_atoms(frame)
    atoms.info["charge"] = 1
    atoms.calc = MACECalculator(model_paths=str(path), head="high", device="cpu")
    assert atoms.get_potential_energy() == pytest.approx(prediction.energy_eV, abs=1e-4)
