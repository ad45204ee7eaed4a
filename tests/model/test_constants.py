"""Refit of the constants: it removes the mean residual of each state, low frames first, and leaves
forces alone."""

import copy

import numpy as np
import pytest
import torch

from defectscape.model.backend import numerics
from defectscape.model.constants import refit_constants
from defectscape.model.dataset import Graphs

CPU = torch.device("cpu")


def test_known_shift_is_taken_back_and_forces_stay(committee, train_data, frame_of) -> None:
    network = copy.deepcopy(committee.members[0])
    frame = frame_of(60, 1)
    with numerics("float64", CPU):
        maker = Graphs.of(network.card)
        graphs = [maker.labelled(item, network.references, 1.0) for item in train_data]
        refit_constants(network, graphs, 7, CPU)
        first = network.references
        before = network({**batch_of(maker, frame)})
        shift = np.array([2.0, 0.0, -1.0])
        network.shift_references(1, np.zeros(2), np.array([2.0, 0.0, 0.0, -1.0]))
        for graph, item in zip(graphs, train_data, strict=True):
            if item.fidelity == "high":
                graph.energy -= shift[(-2, 0, 1).index(item.frame.charge)]
        assert not np.allclose(network.references.charge_eV, first.charge_eV)
        refit_constants(network, graphs, 7, CPU)
        after = network({**batch_of(maker, frame)})
        again = network.references
    for charge in (-2, 0, 1):
        energies = [r.energy_eV(frame.numbers, charge, "high") for r in (first, again)]
        assert energies[0] == pytest.approx(energies[1], abs=1e-8)
    assert float(after["energy"].detach()) == pytest.approx(float(before["energy"].detach()), abs=1e-8)
    assert torch.equal(after["forces"], before["forces"])


def test_weighted_mean_residual_of_every_state_is_zero_afterwards(committee, train_data) -> None:
    for network in committee.members:
        for fidelity in ("low", "high"):
            for charge in (-2, 0, 1):
                items = [item for item in train_data if item.fidelity == fidelity and item.frame.charge == charge]
                with numerics("float64", CPU):
                    maker = Graphs.of(network.card)
                    energies = [
                        float(network(batch_of(maker, item.frame, fidelity))["energy"].detach()) for item in items
                    ]
                labels = np.array([item.label.energy_eV for item in items])
                weights = [1 / (1 + height_eV_atom(item, items) ** 2 / 0.02**2) for item in items]
                assert max(weights) == 1
                assert np.average(energies - labels, weights=weights) == pytest.approx(0, abs=1e-7)


def height_eV_atom(item, items) -> float:
    """Height of a label above the lowest of the same atoms."""
    lowest = min(other.label.energy_eV for other in items if sorted(other.frame.numbers) == sorted(item.frame.numbers))
    return (item.label.energy_eV - lowest) / len(item.frame)


def batch_of(maker: Graphs, frame, fidelity: str = "high"):
    from defectscape.model.dataset import collate

    return collate([maker.frame(frame, fidelity)], CPU).to_dict()
