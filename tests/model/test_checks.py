"""Checks pass a model that sees charge and fidelity, and stop one that does not."""

import copy

import pytest
import torch

from defectscape.domain.errors import CheckError, ModelError
from defectscape.model.checks import check_states
from defectscape.model.committee import Committee

FIDELITIES = ("low", "high")


def test_trained_committee_passes(committee, frame_of, data_of) -> None:
    frame = frame_of(30, 0)
    report = check_states(committee, frame, (-2, 0, 1), FIDELITIES)
    assert set(report.energies_eV) == {"training file", "calculator", "batch"}
    assert all(len(energies) == 6 for energies in report.energies_eV.values())
    assert report.disagreement_eV < 1e-6
    assert report.charge_split_eV_A > 1e-3
    assert report.fidelity_split_eV_A > 1e-3
    # Raw energies come out on the engines' own scales.
    for item in data_of([30]):
        energy = report.energies_eV["batch"][item.frame.charge, item.fidelity]
        assert energy == pytest.approx(item.label.energy_eV, abs=0.2)


def test_charge_blind_model_fails_the_charge_check(committee, frame_of) -> None:
    members = tuple(copy.deepcopy(network) for network in committee.members)
    for network in members:
        torch.nn.init.zeros_(network.joint_embedding.project[0].weight)
        network.charge_reference_eV[:] = network.charge_reference_eV[:, :1]
    blind = Committee(members)
    with pytest.raises(CheckError, match=r"charge check.*-2 at low and 0 at low differ by 0"):
        check_states(blind, frame_of(31, 0), (-2, 0), FIDELITIES)
    # One charge only: nothing to compare, and the fidelities do differ.
    report = check_states(blind, frame_of(31, 0), (0,), FIDELITIES)
    assert report.charge_split_eV is None
    assert report.fidelity_split_eV > 0


def test_constant_per_charge_is_not_enough(committee, frame_of) -> None:
    # Embedding switched off after training: the references still split the energies by 11 eV.
    members = tuple(copy.deepcopy(network) for network in committee.members)
    for network in members:
        torch.nn.init.zeros_(network.joint_embedding.project[0].weight)
    with pytest.raises(CheckError, match="by a constant only"):
        check_states(Committee(members), frame_of(32, 0), (-2, 0, 1), FIDELITIES)


def test_equal_heads_fail_the_fidelity_check(committee, frame_of) -> None:
    members = tuple(copy.deepcopy(network) for network in committee.members)
    for network in members:
        # Constants of the references alone tell these heads apart.
        for readout in network.readouts:
            for parameter in readout.parameters():
                torch.nn.init.zeros_(parameter)
    with pytest.raises(CheckError, match="by a constant only"):
        check_states(Committee(members), frame_of(33, 0), (0,), FIDELITIES)


def test_unseen_state_is_an_error_of_its_own(committee, frame_of) -> None:
    with pytest.raises(ModelError, match="-1"):
        check_states(committee, frame_of(34, 0), (-1, 0), FIDELITIES)
