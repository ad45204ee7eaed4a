"""What a network is trained on: graphs and batches, energy references, and their refit."""

import copy
import os
from collections import Counter

import numpy as np
import pytest
import torch

from defectscape.domain.errors import LabelError, ModelError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.model.backend import numerics
from defectscape.model.constants import refit_constants
from defectscape.model.dataset import Graphs, average_neighbours, batch_members, rms_force_eV_A
from defectscape.model.references import fit_references

# Graphs and batches: reference-free energies, weights, a seeded and complete order.


CPU = torch.device("cpu")


def test_graph_carries_head_charge_weight_and_small_energy(train_data) -> None:
    references = fit_references(train_data, ("low", "high"))
    graphs = Graphs(references.elements, ("low", "high"), 4.2)
    item = next(i for i in train_data if i.fidelity == "high" and i.frame.charge == -2)
    with numerics("float64", CPU):
        graph = graphs.labelled(item, references, 3.0)
    reference = references.energy_eV(item.frame.numbers, -2, "high")
    assert int(graph.head) == 1
    assert float(graph.total_charge) == -2.0
    assert float(graph.weight) == 3.0
    assert float(graph.energy) == item.label.energy_eV - reference
    assert abs(float(graph.energy)) < 10 < abs(item.label.energy_eV)
    assert graph.forces.numpy() == pytest.approx(item.label.forces_eV_A, abs=0)


def test_statistics_of_the_training_set(train_data) -> None:
    references = fit_references(train_data, ("low", "high"))
    graphs = Graphs(references.elements, ("low", "high"), 3.5)
    with numerics("float64", CPU):
        made = [graphs.labelled(item, references, 1.0) for item in train_data[:3]]
    # Zincblende with one of four cations gone: 4 anions x 3 + 3 cations x 4 bonds over 7 atoms.
    assert average_neighbours(made) == pytest.approx(24 / 7)
    forces = np.concatenate([item.label.forces_eV_A for item in train_data])
    assert rms_force_eV_A(train_data) == pytest.approx(np.sqrt(np.mean(forces**2)))


def test_every_frame_once_per_epoch_and_another_order_in_the_next() -> None:
    epochs = [[i for step in range(start, start + 4) for i in batch_members(11, 3, 5, step)] for start in (0, 4)]
    assert [len(batch_members(11, 3, 5, step)) for step in range(4)] == [3, 3, 3, 2]
    assert all(Counter(epoch) == Counter(range(11)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert batch_members(11, 3, 5, 6) == batch_members(11, 3, 5, 6)
    assert batch_members(11, 11, 5, 0) != batch_members(11, 11, 6, 0)


def test_unknown_head_and_element_are_refused(frame_of) -> None:
    frame = frame_of(0, 0)
    with pytest.raises(ModelError, match="hse06"):
        Graphs((48, 52), ("low", "high"), 4.0).frame(frame, "hse06")
    with pytest.raises(ModelError, match="atomic number: 52"):
        Graphs((48,), ("low", "high"), 4.0).frame(frame, "low")


def test_label_that_is_not_finite_or_does_not_fit_is_refused(train_data) -> None:
    item = train_data[0]
    with pytest.raises(LabelError, match="energy: NaN"):
        Label(float("nan"), item.label.forces_eV_A)
    with pytest.raises(LabelError, match="forces: NaN"):
        Label(0.0, np.full((7, 3), np.inf))
    references = fit_references(train_data, ("low", "high"))
    short = type(item)(item.frame, Label(-3000.0, np.zeros((6, 3))), "low")
    with pytest.raises(ModelError, match="forces of a label"):
        Graphs((48, 52), ("low", "high"), 4.0).labelled(short, references, 1.0)


def test_dtype_and_threads_are_put_back_and_the_pickle_switch_is_off() -> None:
    before = torch.get_default_dtype(), torch.get_num_threads()
    with numerics("float64", CPU):
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_num_threads() == 1
    assert (torch.get_default_dtype(), torch.get_num_threads()) == before
    with pytest.raises(RuntimeError, match="inner"), numerics("float32", CPU):
        raise RuntimeError("inner")
    assert (torch.get_default_dtype(), torch.get_num_threads()) == before
    if "mace.calculators" not in __import__("sys").modules:
        assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ


# Energy references: exact on linear data, stable at -3000 eV, free of strain.


ELEMENT_eV = {"low": {48: -101.25, 52: -207.5}, "high": {48: -140.0, 52: -233.125}}
CHARGE_eV = {"low": {-1: 5.0, 0: -3.0, 2: -21.0}, "high": {-1: 7.5, 0: 1.0, 2: -19.0}}
COMPOSITIONS = ((8, 8), (7, 8), (8, 7))


def linear_item(counts: tuple[int, int], charge: int, fidelity: str, seed: int, extra_eV: float = 0.0) -> LabelledFrame:
    numbers = np.array([48] * counts[0] + [52] * counts[1])
    positions = np.random.default_rng(seed).random((len(numbers), 3)) * 10
    frame = Frame(numbers, positions, np.eye(3) * 10, DefectKey("v_Cd", charge), 1, Origin.RATTLE, "f")
    energy = counts[0] * ELEMENT_eV[fidelity][48] + counts[1] * ELEMENT_eV[fidelity][52]
    label = Label(energy + CHARGE_eV[fidelity][charge] + extra_eV, np.zeros((len(numbers), 3)))
    return LabelledFrame(frame, label, fidelity)


def linear_data(noise_eV: float, compositions=COMPOSITIONS, count: int = 4) -> list[LabelledFrame]:
    rng = np.random.default_rng(1)
    return [
        linear_item(counts, charge, fidelity, seed, noise_eV * rng.normal())
        for fidelity in ("low", "high")
        for charge in (-1, 0, 2)
        for counts in compositions
        for seed in range(count)
    ]


def test_linear_energies_are_recovered_exactly() -> None:
    references = fit_references(linear_data(0.0), ("low", "high"))
    for head, fidelity in enumerate(("low", "high")):
        assert references.element_eV[head] == pytest.approx(list(ELEMENT_eV[fidelity].values()), abs=1e-8)
        assert references.charge_eV[head] == pytest.approx(list(CHARGE_eV[fidelity].values()), abs=1e-8)


@pytest.mark.parametrize("compositions", [COMPOSITIONS, COMPOSITIONS[:1]])
def test_reference_energies_survive_noise_at_large_totals(compositions) -> None:
    # Sixty frames of 1e-3 eV noise leave an error of the mean well below 1e-3 eV, also where one
    # composition makes the regression rank deficient.
    references = fit_references(linear_data(1e-3, compositions, count=60), ("low", "high"))
    for counts in compositions:
        for charge in (-1, 0, 2):
            truth = linear_item(counts, charge, "high", 0)
            energy = references.energy_eV(truth.frame.numbers, charge, "high")
            assert truth.label.energy_eV < -2500
            assert energy == pytest.approx(truth.label.energy_eV, abs=6e-4)


def test_strain_of_the_few_high_labels_does_not_enter_the_high_reference() -> None:
    # Low: strains 0 and 2 eV, mean 1. High: only the most strained frame of each charge.
    data = []
    for charge in (-1, 0, 2):
        data.append(linear_item((8, 8), charge, "low", 0, 0.0))
        data.append(linear_item((8, 8), charge, "low", 1, 2.0))
        data.append(linear_item((8, 8), charge, "high", 1, 2.0))
    references = fit_references(data, ("low", "high"))
    for item in data[2::3]:
        reference = references.energy_eV(item.frame.numbers, item.frame.charge, "high")
        # Above its reference by what the low fidelity sees above its own: 2 - 1 eV, not 0.
        assert item.label.energy_eV - reference == pytest.approx(1.0, abs=1e-7)


def test_charge_without_high_label_has_no_high_reference() -> None:
    data = [i for i in linear_data(0.0) if i.fidelity == "low" or i.frame.charge != 2]
    references = fit_references(data, ("low", "high"))
    numbers = data[0].frame.numbers
    references.energy_eV(numbers, 2, "low")
    with pytest.raises(ModelError, match=r"charge: \+2.*trained on -1, 0 at high"):
        references.energy_eV(numbers, 2, "high")


def test_unknown_element_and_fidelity_are_refused() -> None:
    references = fit_references(linear_data(0.0), ("low", "high"))
    with pytest.raises(ModelError, match="atomic number: 34"):
        references.energy_eV(np.array([48, 34]), 0, "low")
    with pytest.raises(ModelError, match="pbe"):
        references.energy_eV(np.array([48, 52]), 0, "pbe")
    with pytest.raises(ModelError, match="'third'"):
        fit_references(linear_data(0.0), ("low", "high", "third"))


# Refit of the constants: it removes the mean residual of each state, low frames first, and leaves
# forces alone.


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
