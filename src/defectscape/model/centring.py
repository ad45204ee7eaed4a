"""Refit of the constants c(f, q) with the network in place.

Forces, which carry nearly all the weight of the loss, say nothing of a constant energy, and a
network has to bend its shared weights to move one: left to the optimiser, the energies of each
fidelity and charge stay off by a constant for hundreds of steps. For given weights the best constant
is known, though: the mean residual of the training frames of that fidelity and charge. So it is
taken into the references before the first step (random weights have a mean energy too) and after
the last one.
"""

from collections.abc import Sequence

import torch

from defectscape.model.backend import mace_data
from defectscape.model.dataset import collate
from defectscape.model.network import ChargedMACE


def mean_residuals(
    network: ChargedMACE,
    graphs: Sequence[mace_data.AtomicData],
    batch_size: int,
    device: torch.device,
) -> torch.Tensor:
    """Mean of target less learned energy per fidelity and charge, eV.

    Args:
        network: in its present weights.
        graphs: labelled, reference-free energies.
        batch_size: graphs at a time.
        device: where the network is.

    Returns:
        Shape of ``network.charge_reference_eV``, float64, on the CPU; zero where there is no graph.
        One number per fidelity for a network without charge embedding.
    """
    table = torch.zeros(network.charge_reference_eV.shape, dtype=torch.float64)
    count = torch.zeros_like(table)
    for start in range(0, len(graphs), batch_size):
        batch = collate(graphs[start : start + batch_size], device)
        out = network(batch.to_dict(), training=False, compute_force=False)
        residual = (batch.energy - out["interaction_energy"]).detach().to("cpu", torch.float64)
        columns = network.columns(batch.total_charge).cpu()
        place = (batch.head.cpu(), columns)
        table.index_put_(place, residual, accumulate=True)
        count.index_put_(place, torch.ones_like(residual), accumulate=True)
    if not network.card.charge_embedding:
        table = table.sum(dim=1, keepdim=True).expand_as(table)
        count = count.sum(dim=1, keepdim=True).expand_as(count)
    return table / count.clamp(min=1)


def recentre(
    network: ChargedMACE,
    graphs: Sequence[mace_data.AtomicData],
    batch_size: int,
    device: torch.device,
) -> None:
    """Move the mean residuals from the graphs' energies into the network's references, in place."""
    shift = mean_residuals(network, graphs, batch_size, device)
    network.charge_reference_eV += shift.to(network.charge_reference_eV.device)
    for graph in graphs:
        column = int(network.columns(graph.total_charge))
        graph.energy -= shift[int(graph.head), column].to(graph.energy.dtype)
