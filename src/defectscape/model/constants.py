"""Refit of the energy references with the network in place.

Forces, which carry nearly all the weight of the loss, say nothing of a constant energy, and a
network has to bend its shared weights to move one: left to the optimiser, the energies of each
fidelity and charge stay off by a constant for hundreds of steps. For given weights the best
constants are known, though: the same least squares as in ``references.py``, on the residuals of the
training frames. So they are taken into the references before the first step (random weights have a
mean energy too) and after the last one. Forces are untouched.

Frames high above the lowest of their kind have the largest residuals and matter least: a minimum must
not carry their mean error. So they count less, as one over one plus the square of their height over
``HEIGHT_EV_ATOM``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from defectscape.model.backend import mace_data, to_numpy
from defectscape.model.dataset import collate
from defectscape.model.network import ChargedMACE
from defectscape.model.references import composition_constants, solve_constants

HEIGHT_EV_ATOM = 0.02
"""Height above the lowest frame of a kind at which a frame counts half."""


def refit_constants(
    network: ChargedMACE,
    graphs: Sequence[mace_data.AtomicData],
    batch_size: int,
    device: torch.device,
) -> None:
    """Move what the references can take of the residuals into them, in place.

    Args:
        network: in its present weights, on ``device``; its references change.
        graphs: training graphs, labelled with reference-free energies, which change with them.
        batch_size: graphs at a time.
        device: where the network is.
    """
    states = [
        _residuals(network, collate(graphs[start : start + batch_size], device))
        for start in range(0, len(graphs), batch_size)
    ]
    residuals, heads, columns, counts = (np.concatenate(parts) for parts in zip(*states, strict=True))
    targets = np.array([float(graph["energy"]) for graph in graphs])
    weights = _weights(targets, heads, columns, counts)
    shifts = np.zeros(len(graphs))
    compositions, width = network.own_compositions, network.charge_reference_eV.shape[1]
    for head in np.unique(heads):
        chosen = heads == head
        element, charge = solve_constants(
            counts[chosen],
            columns[chosen],
            residuals[chosen],
            width,
            weights[chosen],
        )
        shifts[chosen] = counts[chosen] @ element + charge[columns[chosen]]
        network.shift_references(int(head), element, charge)
        if compositions:
            left = residuals[chosen] - shifts[chosen]
            own = composition_constants(counts[chosen], columns[chosen], left, compositions, width, weights[chosen])
            kinds = [compositions.index(tuple(row)) for row in counts[chosen].astype(int).tolist()]
            shifts[chosen] += own[kinds, columns[chosen]]
            network.shift_compositions(int(head), own)
    for graph, shift in zip(graphs, shifts, strict=True):
        graph["energy"] = graph["energy"] - shift


def _weights(targets_eV: np.ndarray, heads: np.ndarray, columns: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weight (m,) of each frame by its height above the lowest of its head, charge and atoms."""
    kinds = np.column_stack([heads, columns, counts])
    _, kind = np.unique(kinds, axis=0, return_inverse=True)
    kind = kind.ravel()
    lowest = np.array([targets_eV[kind == index].min() for index in range(kind.max() + 1)])
    height = (targets_eV - lowest[kind]) / counts.sum(axis=1)
    return np.asarray(1 / (1 + (height / HEIGHT_EV_ATOM) ** 2))


def _residuals(network: ChargedMACE, batch: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Target less learned energy (m,), eV; head, charge column (m,); element counts (m, el)."""
    out = network(batch.to_dict(), training=False, compute_force=False)
    residual = to_numpy(batch.energy) - to_numpy(out["interaction_energy"])
    counts = torch.zeros(len(residual), batch.node_attrs.shape[1], dtype=torch.float64)
    counts.index_add_(0, batch.batch.cpu(), batch.node_attrs.cpu().to(torch.float64))
    columns = network.columns(batch.total_charge).cpu().numpy()
    return residual, batch.head.cpu().numpy(), columns, counts.numpy()
