"""Graphs and batches: reference-free energies, weights, a seeded and complete order."""

import os
from collections import Counter

import numpy as np
import pytest
import torch

from defectscape.domain.errors import LabelError, ModelError
from defectscape.domain.label import Label
from defectscape.model.backend import numerics
from defectscape.model.dataset import Graphs, average_neighbours, batch_members, rms_force_eV_A
from defectscape.model.references import fit_references

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
