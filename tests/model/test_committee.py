"""The committee: its answers on every path, many relaxations together, and a prior under it."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.optimize import BFGS

from defectscape.domain.errors import CheckError, ModelError
from defectscape.domain.label import Label
from defectscape.domain.prior import NoPrior, taken_off
from defectscape.engines.prior import EnginePrior
from defectscape.model.checks import check_states
from defectscape.model.committee import Committee
from defectscape.model.errors import error_table
from defectscape.model.saving import load_network
from defectscape.model.training import train_member
from defectscape.search.relaxation import relax, relax_all
from defectscape.settings.engine import PriorSettings
from defectscape.settings.search import SearchSettings
from defectscape.store.labels import LabelStore
from defectscape.study.calculator import prior_of_card
from defectscape.study.committees import CommitteeSurface

# The committee: one answer on every path, mean and standard deviation, refusals; mace's own calculator.


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


# The committee relaxes many charge states together as it relaxes each alone.


@pytest.mark.parametrize("fidelity", ["low", "high"])
def test_charges_and_heads_are_carried_by_each(committee, frame_of, fidelity) -> None:
    settings = SearchSettings(
        fmax_eV_A=0.02, max_steps=60, cross_seeds_per_charge=0, max_force_std_eV_A=9.0, batch_size=4
    )
    surface = CommitteeSurface(committee, fidelity)
    starts = [frame_of(seed, charge, amplitude_A=0.15) for seed in (90, 91) for charge in (1, -2, 0)]
    together = relax_all(starts, surface, settings)
    for start, found in zip(starts, together, strict=True):
        alone = relax(start, surface, settings)
        assert (alone.reason, found.final.charge) == (found.reason, start.charge)
        assert found.energy_eV == pytest.approx(alone.energy_eV, abs=1e-3)
        assert found.member_energies_eV == pytest.approx(alone.member_energies_eV, abs=1e-3)
        np.testing.assert_allclose(found.final.positions_A, alone.final.positions_A, atol=0.02)
    # One geometry, three charges: three energies, which the references alone do not explain.
    same = [start.recharged(q, origin=start.origin) for start in starts[:1] for q in (1, -2, 0)]
    energies = [r.energy_eV for r in relax_all(same, surface, settings)]
    assert len({round(energy, 2) for energy in energies}) == 3


# A model over a prior: what it learns, what it answers on every path, and that nobody forgets the prior.


FIDELITIES = ("low", "high")


class Spring:
    """A prior with a known answer: a harmonic pull of every atom towards the origin, stiffer with the charge."""

    name = "spring"

    def evaluate_many(self, frames):
        stiff = [2.0 + 0.3 * frame.charge for frame in frames]
        return [
            Label(0.5 * k * float(np.sum(frame.positions_A**2)), -k * frame.positions_A)
            for k, frame in zip(stiff, frames, strict=True)
        ]


@pytest.fixture(scope="module")
def paths(tmp_path_factory, train_data, valid_data, settings_of):
    """Two members, trained over the spring on labels to which the spring was added."""
    folder = tmp_path_factory.mktemp("over")
    found = []
    for member in range(2):
        found.append(folder / f"{member}.model")
        # What is left is what the other tests' models learn from their own labels.
        train_member(train_data, valid_data, FIDELITIES, settings_of(steps=60), 5, member, found[-1], prior=Spring.name)
    return found


def test_taking_off_and_putting_back_is_nothing(paths, train_data, frame_of) -> None:
    item = train_data[0]
    (prior,) = Spring().evaluate_many([item.frame])
    energy_eV, forces_eV_A = item.label.energy_eV + prior.energy_eV, item.label.forces_eV_A + prior.forces_eV_A
    raised = replace(item, label=Label(energy_eV, forces_eV_A))
    left = taken_off(raised, prior)
    assert left.label.energy_eV == pytest.approx(item.label.energy_eV, abs=1e-9)
    assert left.label.forces_eV_A == pytest.approx(item.label.forces_eV_A, abs=1e-9)


def test_every_path_answers_the_sum(paths, frame_of) -> None:
    over = Committee.load(paths, prior=Spring())
    for charge in (-2, 0, 1):
        frame = frame_of(31, charge)
        learned = over.alone().evaluate(frame, "high")
        (prior,) = Spring().evaluate_many([frame])
        found = over.evaluate(frame, "high")
        assert found.energy_eV == pytest.approx(learned.energy_eV + prior.energy_eV, abs=1e-8)
        assert found.forces_eV_A == pytest.approx(learned.forces_eV_A + prior.forces_eV_A, abs=1e-8)
        assert found.force_std_eV_A == pytest.approx(learned.force_std_eV_A, abs=1e-8)
        assert np.ptp(found.member_energies_eV) == pytest.approx(np.ptp(learned.member_energies_eV), abs=1e-8)
        atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
        atoms.calc = over.calculator(charge, "high")
        assert atoms.get_potential_energy() == pytest.approx(found.energy_eV, abs=1e-8)
        assert atoms.get_forces() == pytest.approx(found.forces_eV_A, abs=1e-8)


def test_forces_of_the_sum_are_the_gradient_of_its_energy(paths, frame_of) -> None:
    over, frame = Committee.load(paths, prior=Spring()), frame_of(33, 1)
    step = np.zeros_like(frame.positions_A)
    step[2, 1] = 1e-3
    ahead, behind = (frame.moved(frame.positions_A + sign * step, origin=frame.origin) for sign in (1, -1))
    slope = (over.evaluate(ahead, "high").energy_eV - over.evaluate(behind, "high").energy_eV) / 2e-3
    assert over.evaluate(frame, "high").forces_eV_A[2, 1] == pytest.approx(-slope, abs=2e-3)


@pytest.mark.parametrize("wrong", [None, NoPrior("another")])
def test_a_model_is_never_asked_without_its_prior(paths, wrong) -> None:
    with pytest.raises(ModelError, match="prior of a committee"):
        Committee.load(paths, prior=wrong)


def test_a_model_without_a_prior_takes_none(model_paths) -> None:
    with pytest.raises(ModelError, match="prior of a committee"):
        Committee.load(model_paths, prior=Spring())


def test_a_warm_start_keeps_the_prior(paths, train_data, valid_data, settings_of, tmp_path) -> None:
    with pytest.raises(ModelError, match="prior of the model to start from"):
        train_member(
            train_data, valid_data, FIDELITIES, settings_of(steps=1), 5, 0, tmp_path / "m", warm_start=paths[0]
        )


def test_checks_pass_over_a_prior_and_see_one_that_is_lost(paths, frame_of, monkeypatch) -> None:
    over, frame = Committee.load(paths, prior=Spring()), frame_of(35, 0)
    assert check_states(over, frame, (-2, 0, 1), FIDELITIES).charges == (-2, 0, 1)
    monkeypatch.setattr(
        "defectscape.model.committee.CommitteeCalculator._frame",
        lambda self, atoms: frame.recharged(1, origin=frame.origin),
    )
    with pytest.raises(CheckError, match="path check"):
        check_states(over, frame, (-2, 0, 1), FIDELITIES)


def test_checks_ask_the_networks_themselves_about_the_charge(paths, frame_of, monkeypatch) -> None:
    """A prior that knows the charge must not hide networks that do not."""
    over, frame = Committee.load(paths, prior=Spring()), frame_of(35, 0)
    for network in over.members:
        for parameter in network.joint_embedding.parameters():
            parameter.zero_()
    with pytest.raises(CheckError, match="charge check"):
        check_states(over, frame, (-2, 0, 1), FIDELITIES)


class FailsFor:
    """The spring, which has no value for one frame in one charge."""

    name = "spring"

    def __init__(self, frame) -> None:
        self.frame = frame

    def evaluate_many(self, frames):
        if any(f.geometry_hash == self.frame.geometry_hash and f.charge == self.frame.charge for f in frames):
            raise CalculationFailed("no convergence")
        return Spring().evaluate_many(frames)


def test_a_held_out_frame_that_the_prior_fails_for_costs_itself_alone(paths, valid_data) -> None:
    failing = valid_data[1].frame
    whole = error_table(Committee.load(paths, prior=Spring()), valid_data)
    table = error_table(Committee.load(paths, prior=FailsFor(failing)), valid_data)
    lost = [item for item in valid_data if item.frame.frame_id == failing.frame_id]
    assert table.refused == tuple((failing.frame_id, "no convergence") for _ in lost)
    assert sum(row.frames for row in table.rows if row.defect is None) == len(valid_data) - len(lost)
    assert np.isfinite([row.energy_mae_meV_atom for row in (*table.rows, *whole.rows)]).all()


def test_the_prior_is_checked_in_a_charge_that_it_has_a_value_for(paths, frame_of, caplog) -> None:
    frame = frame_of(35, 0)
    over = Committee.load(paths, prior=FailsFor(frame.recharged(-2, origin=frame.origin)))
    assert check_states(over, frame, (-2, 0, 1), FIDELITIES).charges == (-2, 0, 1)
    assert "not checked in charge -2: no convergence" in caplog.text


def test_the_card_says_what_a_plain_calculator_lacks(paths, model_paths) -> None:
    assert "no energy of anything" in load_network(paths[0]).card.warning
    assert "charge 0 in silence" in load_network(paths[0]).card.warning
    assert "prior" not in load_network(model_paths[0]).card.warning


def test_a_prior_that_the_card_cannot_make_again_says_what_to_do(tmp_path) -> None:
    terms = [{"engine": "ase/mace.calculators.MACECalculator", "settings": {}, "sign": 1, "neutral": False}]
    with pytest.raises(ModelError, match=r"MACECalculator cannot be made from the card alone.*of_study"):
        prior_of_card(json.dumps(terms), LabelStore(tmp_path))


@pytest.mark.parametrize("landscape", [{}, {"landscape": {"kind": "tblite", "method": "GFN2-xTB"}}])
def test_a_prior_of_tblite_is_made_again_from_its_name(tmp_path, landscape) -> None:
    engine = {"kind": "tblite", "method": "GFN1-xTB", "electronic_temperature_K": 1500.0, "accuracy": 0.5}
    settings = PriorSettings.model_validate({"engine": engine, **landscape})
    store = LabelStore(tmp_path)
    name = EnginePrior(settings, store, 1).name
    assert prior_of_card(name, store).name == name
