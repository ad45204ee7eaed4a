"""From frames and labels to mace's graphs and batches, in an order that only the seed decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Floats, Frame, Ints
from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_seed
from defectscape.domain.statistics import rms
from defectscape.model.backend import AtomicNumberTable, Batch, mace_data
from defectscape.model.card import ModelCard
from defectscape.model.layers.pairs import all_halves, paired_order
from defectscape.model.references import EnergyReferences, count_elements


@dataclass(frozen=True)
class Graphs:
    """Makes graphs for one model; floats get torch's default dtype.

    Attributes:
        elements: atomic numbers, ascending.
        fidelities: heads, low first.
        r_max_A: cutoff of the neighbour lists (mace's own), A.
    """

    elements: tuple[int, ...]
    fidelities: tuple[str, ...]
    r_max_A: float

    @classmethod
    def of(cls, card: ModelCard) -> "Graphs":
        """For a trained model."""
        return cls(card.elements, card.fidelities, card.r_max_A)

    def structure(
        self, numbers: Ints, positions_A: Floats, cell_A: Floats, charge: int, fidelity: str
    ) -> mace_data.AtomicData:
        """An unlabelled graph of a periodic structure: (n,), (n, 3) A, (3, 3) A, e, head name.

        Raises:
            ModelError: for an element or fidelity the model does not have (mace would take the
                last head).
        """
        return self._graph(numbers, positions_A, cell_A, charge, fidelity, {}, 1.0)

    def frame(self, frame: Frame, fidelity: str) -> mace_data.AtomicData:
        """An unlabelled graph; errors as ``structure``."""
        return self.structure(frame.numbers, frame.positions_A, frame.cell_A, frame.charge, fidelity)

    def labelled(self, item: LabelledFrame, references: EnergyReferences, weight: float) -> mace_data.AtomicData:
        """A graph whose energy is the label less its reference, subtracted in float64.

        Raises:
            ModelError: as ``structure``, and for a charge without a reference.
        """
        frame, label = item.frame, item.label
        if label.forces_eV_A.shape != frame.positions_A.shape:
            remedy = f"Its frame {frame.frame_id} has {len(frame)} atoms; label it again"
            raise ModelError("forces of a label", label.forces_eV_A.shape, remedy)
        reference = references.energy_eV(frame.numbers, frame.charge, item.fidelity)
        properties = {"energy": label.energy_eV - reference, "forces": label.forces_eV_A.copy()}
        return self._graph(
            frame.numbers,
            frame.positions_A,
            frame.cell_A,
            frame.charge,
            item.fidelity,
            properties,
            weight,
        )

    def _graph(
        self,
        numbers: Ints,
        positions_A: Floats,
        cell_A: Floats,
        charge: int,
        fidelity: str,
        properties: dict[str, object],
        weight: float,
    ) -> mace_data.AtomicData:
        if fidelity not in self.fidelities:
            known = ", ".join(self.fidelities)
            raise ModelError("fidelity", repr(fidelity), f"The model has {known}")
        count_elements(numbers, self.elements)
        config = mace_data.Configuration(
            atomic_numbers=np.array(numbers),
            positions=np.array(positions_A, dtype=np.float64),
            cell=np.array(cell_A, dtype=np.float64),
            pbc=(True, True, True),
            properties={**properties, "total_charge": charge},
            property_weights={},
            weight=weight,
            head=fidelity,
        )
        table = AtomicNumberTable(list(self.elements))
        graph = mace_data.AtomicData.from_config(
            config, z_table=table, cutoff=self.r_max_A, heads=list(self.fidelities)
        )
        order = paired_order(graph.edge_index.numpy(), graph.unit_shifts.numpy())
        if order is not None:
            _reorder(graph, torch.from_numpy(order))
        return graph


def collate(graphs: Sequence[mace_data.AtomicData], device: torch.device) -> Batch:
    """One batch of graphs on ``device``; of paired edges (``pairs.py``) all first ones come first."""
    batch = Batch.from_data_list(list(graphs))
    _reorder(batch, all_halves([graph.edge_index.shape[1] for graph in graphs]))
    return batch.to(device)


def _reorder(graph: Any, order: torch.Tensor) -> None:
    """Another order of the edges, in place."""
    graph.edge_index = graph.edge_index[:, order]
    graph.shifts, graph.unit_shifts = graph.shifts[order], graph.unit_shifts[order]


def batch_members(count: int, batch_size: int, seed: int, step: int) -> list[int]:
    """Which of ``count`` training frames make the batch of a step (from 0).

    Every frame appears once per epoch, the last batch of an epoch may be short. The order is a
    function of seed and epoch alone, so a restarted training needs no state to continue in it.
    """
    per_epoch = -(-count // batch_size)
    epoch, position = divmod(step, per_epoch)
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    order = torch.randperm(count, generator=generator).tolist()
    return order[position * batch_size : (position + 1) * batch_size]


def average_neighbours(graphs: Sequence[mace_data.AtomicData]) -> float:
    """Mean number of neighbours of an atom over the training set."""
    edges = sum(graph.edge_index.shape[1] for graph in graphs)
    return edges / sum(graph.num_nodes for graph in graphs)


def rms_force_eV_A(data: Sequence[LabelledFrame]) -> float:
    """Root mean square of the force components of the training set, eV/A; 1 if all are zero."""
    forces = np.concatenate([item.label.forces_eV_A for item in data])
    return rms(forces) or 1.0
