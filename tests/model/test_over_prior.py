"""A model over a prior: what it learns, what it answers on every path, and that nobody forgets the prior."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import CalculationFailed

from defectscape.domain.errors import CheckError, ModelError
from defectscape.domain.label import Label
from defectscape.domain.prior import NoPrior, taken_off
from defectscape.engines.prior import EnginePrior
from defectscape.model.checks import check_states
from defectscape.model.committee import Committee
from defectscape.model.errors import error_table
from defectscape.model.saving import load_network
from defectscape.model.training import train_member
from defectscape.settings.prior import PriorSettings
from defectscape.store.labels import LabelStore
from defectscape.study.calculator import prior_of_card

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
