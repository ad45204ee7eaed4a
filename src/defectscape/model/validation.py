"""Errors on the validation frames during training."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from defectscape.domain.errors import ModelError
from defectscape.domain.keys import format_charge
from defectscape.domain.label import LabelledFrame
from defectscape.domain.statistics import less_group_means, rms
from defectscape.model.backend import Batch, to_numpy
from defectscape.model.card import ModelCard
from defectscape.model.dataset import Graphs, collate
from defectscape.model.delta import DeltaMACE
from defectscape.model.network import ChargedMACE
from defectscape.model.references import EnergyReferences

logger = logging.getLogger(__name__)

ENERGY_IN_SCORE_PER_A = 10.0
"""Weight of the energy RMSE (eV/atom) beside the force RMSE (eV/A) in the score."""


def usable_validation(valid: Sequence[LabelledFrame], card: ModelCard) -> tuple[LabelledFrame, ...]:
    """The validation frames, without those whose charge has no training frame at their fidelity.

    Those have no energy reference, so no error; they are left out with a warning.

    Raises:
        ModelError: for an element, charge, size or fidelity that is not in training at all, or if
            nothing remains.
    """
    known = {(fidelity, key.charge) for fidelity, key in card.keys}
    usable = []
    for item in valid:
        frame = item.frame
        _check("fidelity", item.fidelity, card.fidelities)
        _check("charge", frame.charge, card.charges)
        _check("number of atoms", len(frame), card.sizes)
        for number in frame.numbers.tolist():
            _check("atomic number", number, card.elements)
        if (item.fidelity, frame.charge) in known:
            usable.append(item)
    if len(usable) < len(valid):
        missing = {(item.fidelity, item.frame.charge) for item in valid} - known
        text = ", ".join(f"{name} {format_charge(charge)}" for name, charge in sorted(missing))
        logger.warning("validation frames left out, no training frame of %s", text)
    if not usable:
        raise ModelError("validation frames", 0, "Hold out one family at least for validation")
    return tuple(usable)


def _check(thing: str, value: object, known: Sequence[object]) -> None:
    if value not in known:
        remedy = f"Training has {', '.join(map(str, known))}; move a family from one side to the other"
        raise ModelError(f"{thing} of a validation frame", value, remedy)


BATCH_SIZE = 16
"""Frames at a time, where training has fewer: a small batch costs a processor as many calls as a large one."""


@dataclass(frozen=True, eq=False)
class Validator:
    """Validation batches, made once.

    Attributes:
        batches: labelled batches, reference-free energies.
        fidelities: heads, low first.
    """

    batches: tuple[Batch, ...]
    fidelities: tuple[str, ...]

    @classmethod
    def of(
        cls,
        valid: Sequence[LabelledFrame],
        graphs: Graphs,
        references: EnergyReferences,
        batch_size: int,
    ) -> "Validator":
        """From checked frames; ``batch_size`` of the training, or ``BATCH_SIZE`` if that is larger."""
        batch_size = max(batch_size, BATCH_SIZE)
        made = [graphs.labelled(item, references, 1.0) for item in valid]
        cpu = torch.device("cpu")
        starts = range(0, len(made), batch_size)
        batches = tuple(collate(made[start : start + batch_size], cpu) for start in starts)
        return cls(batches, graphs.fidelities)

    def errors(
        self, network: ChargedMACE | DeltaMACE, device: torch.device, *, refit_constants: bool
    ) -> tuple[dict[str, float], dict[str, float], float]:
        """Energy RMSE (meV/atom) and force RMSE (meV/A) per fidelity present, and the score.

        Args:
            network: in the weights to judge, on ``device``.
            device: where it is.
            refit_constants: take the mean error of each fidelity, charge and composition off the energies, as
                the refit of the constants at the end of training will (``constants.py``).
        """
        energy: list[np.ndarray] = []
        forces: list[np.ndarray] = []
        heads: list[np.ndarray] = []
        force_heads: list[np.ndarray] = []
        states: list[np.ndarray] = []
        for batch in self.batches:
            moved = batch.clone().to(device)
            out = network(moved.to_dict(), training=False)
            sizes = to_numpy(moved.ptr[1:] - moved.ptr[:-1])
            head = to_numpy(moved.head)
            energy.append(to_numpy(out["interaction_energy"] - moved.energy) / sizes)
            forces.append(to_numpy(out["forces"] - moved.forces))
            heads.append(head)
            states.append(np.vstack([head, to_numpy(moved.total_charge), _atoms(moved)]))
            force_heads.append(np.repeat(head, sizes.astype(int)))
        energies, head_of = np.concatenate(energy), np.concatenate(heads)
        if refit_constants:
            energies = less_group_means(energies, np.concatenate(states, axis=1).T)
        all_forces, force_head_of = np.concatenate(forces), np.concatenate(force_heads)
        present = [i for i in range(len(self.fidelities)) if np.any(head_of == i)]
        energy_rmse = {self.fidelities[i]: 1e3 * rms(energies[head_of == i]) for i in present}
        forces_rmse = {self.fidelities[i]: 1e3 * rms(all_forces[force_head_of == i]) for i in present}
        high = len(self.fidelities) - 1
        if high in present:
            energies, all_forces = energies[head_of == high], all_forces[force_head_of == high]
        score = rms(all_forces) + ENERGY_IN_SCORE_PER_A * rms(energies)
        return energy_rmse, forces_rmse, score


def errors_as_written(
    network: ChargedMACE | DeltaMACE,
    valid: Sequence[LabelledFrame],
    batch_size: int,
    device: torch.device,
) -> tuple[dict[str, float], dict[str, float]]:
    """Energy RMSE (meV/atom) and force RMSE (meV/A) per fidelity of a finished model, nothing removed.

    Frames of a fidelity and charge that the model has no reference for are left out.
    """
    maker, references = Graphs.of(network.card), network.references
    known = {(fidelity, key.charge) for fidelity, key in network.card.keys}
    usable = [item for item in valid if (item.fidelity, item.frame.charge) in known]
    validator = Validator.of(usable, maker, references, batch_size)
    energy, forces, _ = validator.errors(network, device, refit_constants=False)
    return energy, forces


def _atoms(batch: Any) -> np.ndarray:
    """Atoms of each element in each frame of a batch, (elements, m)."""
    frame, kinds = to_numpy(batch.batch).astype(int), to_numpy(batch.node_attrs)
    return np.stack([np.bincount(frame, weights=kind) for kind in kinds.T])
