"""The committee: its mean is the surface to search; its standard deviation says where it is unsure.

The standard deviation ranks configurations well but is too small by itself: calibrate it on held-out errors
(``calibration.py``) before reading it as an error bar.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes

from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Frame, Ints, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey, format_charge
from defectscape.domain.prediction import Prediction
from defectscape.domain.prior import NoPrior, Prior, put_back
from defectscape.model.backend import find_device, mace_data, numerics, to_numpy
from defectscape.model.card import ModelCard
from defectscape.model.dataset import Graphs, collate
from defectscape.model.layers.arrangement import arrange
from defectscape.model.references import count_elements
from defectscape.model.saving import Network, load_network

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Committee:
    """Members trained alike on the same frames.

    Attributes:
        members: the networks, evaluated on ``device``, weights fixed.
        device: torch device name.
        prior: energies and forces under the model, put back into every prediction; the one that the members were
            trained over, or None if there was none.
    """

    members: tuple[Network, ...]
    device: str = "cpu"
    prior: Prior | None = None
    _warned: set[object] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        if not self.members:
            raise ModelError("committee", "no members", "Give one model file at least")
        find_device(self.device)
        for network in self.members:
            for thing in ("fidelities", "elements", "keys", "sizes", "r_max_A", "dtype", "prior"):
                first, other = getattr(self.card, thing), getattr(network.card, thing)
                if first != other:
                    remedy = f"The first member has {first}; give members of one training only"
                    raise ModelError(f"{thing} of a committee member", other, remedy)
            network.to(self.device).eval()
            network.requires_grad_(False)
            arrange(network)
        given = "" if self.prior is None else self.prior.name
        if given != self.card.prior:
            remedy = f"The model was trained over {self.card.prior or 'none'}: give that one, or train again"
            raise ModelError("prior of a committee", given or "none", remedy)

    @classmethod
    def load(cls, paths: Sequence[Path], device: str = "cpu", prior: Prior | None = None) -> "Committee":
        """Read the weights files that lie beside model files.

        Raises:
            ModelError: if one cannot be read, they do not belong together, were trained over another prior, or
                there is no such device.
        """
        return cls(tuple(load_network(Path(path)) for path in paths), device, prior)

    def alone(self) -> "Committee":
        """The networks by themselves: what they have learned over the prior.

        For what the prior has no part in: the members' spread, and whether charge and fidelity reach them.
        """
        return self if self.prior is None else Committee(self.members, self.device, NoPrior(self.card.prior))

    @property
    def card(self) -> ModelCard:
        """What the members were trained on (seed and index are the first member's)."""
        return self.members[0].card

    def reference_eV(self, numbers: Ints, charge: int, fidelity: str) -> float:
        """Mean of the members' energy references: the structure-blind part of an energy, eV."""
        members = [network.references for network in self.members]
        return float(np.mean([each.energy_eV(numbers, charge, fidelity) for each in members]))

    def check(self, numbers: Ints, charge: int, fidelity: str) -> None:
        """Refuse what the members were not trained on.

        Args:
            numbers: atomic numbers, shape (n,).
            charge: total charge, e.
            fidelity: head.

        Raises:
            ModelError: unknown fidelity, charge (at that fidelity), element, or number of atoms.
        """
        self.check_state(charge, fidelity)
        card = self.card
        count_elements(numbers, card.elements)
        if len(numbers) not in card.sizes:
            remedy = (
                f"The model was trained on {', '.join(map(str, card.sizes))} atoms, and its charge "
                "shift can scale with their number: train it on this supercell"
            )
            raise ModelError("number of atoms", len(numbers), remedy)

    def check_state(self, charge: int, fidelity: str) -> None:
        """Refuse a charge (e) or fidelity not trained on.

        Raises:
            ModelError: naming it and what there is.
        """
        card = self.card
        if isinstance(charge, bool) or not isinstance(charge, int | np.integer):
            raise ModelError("charge", repr(charge), "Give it as an integer, in e")
        if fidelity not in card.fidelities:
            known = ", ".join(card.fidelities)
            raise ModelError("fidelity", repr(fidelity), f"The model has {known}")
        charges = {key.charge for name, key in card.keys if name == fidelity}
        if charge not in charges:
            known = ", ".join(map(format_charge, sorted(charges)))
            remedy = f"The model was trained on {known} at {fidelity}; train it on this one too"
            raise ModelError("charge", format_charge(int(charge)), remedy)

    def _warn(self, what: object, message: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            logger.warning(message)

    def evaluate(self, frame: Frame, fidelity: str) -> Prediction:
        """Energy and forces of one frame in its own charge; errors as ``check``."""
        return self.evaluate_many([frame], fidelity)[0]

    def evaluate_many(self, frames: Sequence[Frame], fidelity: str, batch_size: int = 16) -> tuple[Prediction, ...]:
        """One prediction per frame, in order; charges may be mixed; errors as ``check``, and the prior's.

        A defect never trained in its charge (though others were) is warned of, once.
        """
        for frame in frames:
            self.check(frame.numbers, frame.charge, fidelity)
            if (fidelity, frame.key) not in self.card.keys:
                text = f"{frame.key} has no training frame at {fidelity}; its energy is extrapolated"
                self._warn((fidelity, frame.key), text)
        predictions: list[Prediction] = []
        maker, device = Graphs.of(self.card), find_device(self.device)
        for start in range(0, len(frames), batch_size):
            with numerics(self.card.dtype, device):
                batch = [maker.frame(frame, fidelity) for frame in frames[start : start + batch_size]]
                predictions += self.predict(batch)
        return self._with_prior(frames, predictions)

    def answers(self, frames: Sequence[Frame], fidelity: str) -> list[Prediction | CalculationFailed]:
        """As ``evaluate_many``, with the reason in the place of a frame that the prior has no value for."""
        try:
            return list(self.evaluate_many(frames, fidelity))
        except CalculationFailed as failure:
            if len(frames) == 1:
                return [failure]
            return [answer for frame in frames for answer in self.answers([frame], fidelity)]

    def _with_prior(self, frames: Sequence[Frame], learned: Sequence[Prediction]) -> tuple[Prediction, ...]:
        """Predictions of what was learned, with the prior put back."""
        if self.prior is None:
            return tuple(learned)
        priors = self.prior.evaluate_many(frames)
        return tuple(put_back(point, prior) for point, prior in zip(learned, priors, strict=True))

    def predict(self, graphs: Sequence[mace_data.AtomicData]) -> list[Prediction]:
        """What the networks say of graphs made in the members' dtype, without the prior: one batch for all members."""
        device = find_device(self.device)
        with numerics(self.card.dtype, device):
            batch = collate(graphs, device)
            data = batch.to_dict()
            outs = [network(dict(data), training=False) for network in self.members]
            energies = np.stack([to_numpy(out["energy"]) for out in outs])
            forces = np.stack([to_numpy(out["forces"]) for out in outs])
        edges = batch.ptr.tolist()
        mean = forces.mean(axis=0)
        if len(self.members) > 1:
            std = np.linalg.norm(forces.std(axis=0, ddof=1), axis=-1)
        else:
            std = np.full(forces.shape[1], np.nan)
        return [
            Prediction(
                float(energies[:, i].mean()),
                tuple(energies[:, i].tolist()),
                mean[edges[i] : edges[i + 1]],
                std[edges[i] : edges[i + 1]],
            )
            for i in range(len(graphs))
        ]

    def calculator(self, charge: int, fidelity: str, multiplicity: int | None = None) -> "CommitteeCalculator":
        """An ASE calculator of the committee mean, prior included, in one charge state.

        Args:
            charge: total charge, e.
            fidelity: head.
            multiplicity: of the spin, which the prior takes; None for the lowest.

        Raises:
            ModelError: for a charge or fidelity not trained on.
        """
        self.check_state(charge, fidelity)
        return CommitteeCalculator(self, charge, fidelity, multiplicity)


class CommitteeCalculator(Calculator):
    """Energy (eV) and forces (eV/A) of the committee mean over its prior, for periodic atoms in a fixed charge.

    Attributes:
        prediction: the full prediction of the last structure, or None.
    """

    implemented_properties: list[str] = ["energy", "free_energy", "forces"]  # noqa: RUF012

    def __init__(self, committee: Committee, charge: int, fidelity: str, multiplicity: int | None = None) -> None:
        super().__init__()
        self.committee, self.charge, self.fidelity = committee, charge, fidelity
        self.multiplicity = multiplicity
        self.graphs = Graphs.of(committee.card)
        self.prediction: Prediction | None = None

    def calculate(  # type: ignore[override]
        self,
        atoms: Atoms,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill ``results``.

        Raises:
            ModelError: as ``Committee.check``; if the atoms are not periodic; if they name another
                ``total_charge`` than the calculator's.
        """
        super().calculate(atoms, properties or ["energy"], system_changes)
        committee = self.committee
        named: Any = atoms.info.get("total_charge", self.charge)
        if named != self.charge:
            remedy = f"This calculator is for charge {format_charge(self.charge)}; make another"
            raise ModelError("total_charge of the atoms", named, remedy)
        if not all(atoms.pbc):
            raise ModelError("periodicity of the atoms", atoms.pbc, "Set pbc=True")
        numbers = atoms.numbers
        committee.check(numbers, self.charge, self.fidelity)
        with numerics(committee.card.dtype, find_device(committee.device)):
            graph = self.graphs.structure(numbers, atoms.positions, atoms.cell.array, self.charge, self.fidelity)
            learned = committee.predict([graph])
        (self.prediction,) = committee._with_prior([self._frame(atoms)], learned)
        energy = self.prediction.energy_eV
        forces = self.prediction.forces_eV_A
        std = float(np.max(self.prediction.force_std_eV_A))
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": forces.copy(),
            "force_std": std,
        }

    def _frame(self, atoms: Atoms) -> Frame:
        """The atoms as a prior takes them."""
        spin = lowest_multiplicity(atoms.numbers, self.charge) if self.multiplicity is None else self.multiplicity
        key = DefectKey("defect", self.charge)
        return Frame(atoms.numbers, atoms.positions, atoms.cell.array, key, spin, Origin.RELAXATION, "calculator")
