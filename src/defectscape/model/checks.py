"""Checks, on one geometry, that charge and fidelity reach the model on every path.

Charge-blindness is the classic silent failure: a missing charge becomes 0, an unknown head the last
one, and everything still runs. So each path a structure can take (training file, calculator, batch)
is walked with every charge and fidelity: energies must differ where they should, beyond the
constant per charge that the references alone would give, and agree where they must.
"""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed

from defectscape.domain.errors import CheckError
from defectscape.domain.frame import Floats, Frame
from defectscape.domain.keys import format_charge
from defectscape.domain.label import Label
from defectscape.domain.prior import put_back
from defectscape.files.extxyz import read_frames, write_frames
from defectscape.model.backend import find_device, numerics
from defectscape.model.committee import Committee
from defectscape.model.dataset import Graphs

logger = logging.getLogger(__name__)

ENERGY_NOISE_eV = 1e-4
FORCE_NOISE_eV_A = 1e-4
AGREEMENT_eV = {"float64": 1e-6, "float32": 1e-3}
"""How far the paths may differ; float32 sums depend on the batch."""

State = tuple[int, str]


@dataclass(frozen=True, eq=False)
class CheckReport:
    """What the checks measured; returned only if all were passed.

    Attributes:
        frame_id: of the geometry used.
        charges, fidelities: states compared.
        energies_eV: per path and (charge, fidelity), eV.
        charge_split_eV: smallest difference of learned energy between two charges at any fidelity,
            references removed, eV; None with one charge.
        charge_split_eV_A: smallest, over pairs of charges, of the largest force difference, eV/A.
        fidelity_split_eV, fidelity_split_eV_A: the same between fidelities.
        disagreement_eV: largest difference between two paths, eV.
    """

    frame_id: str
    charges: tuple[int, ...]
    fidelities: tuple[str, ...]
    energies_eV: dict[str, dict[State, float]]
    charge_split_eV: float | None
    charge_split_eV_A: float | None
    fidelity_split_eV: float | None
    fidelity_split_eV_A: float | None
    disagreement_eV: float


def check_states(committee: Committee, frame: Frame, charges: Sequence[int], fidelities: Sequence[str]) -> CheckReport:
    """Walk every path with ``frame`` in every state.

    With a prior, charge and fidelity must reach the networks themselves, and the prior must be put back whole.

    Args:
        committee: the models.
        frame: the geometry; its own charge does not matter.
        charges: charge states to compare, e.
        fidelities: fidelities to compare.

    Raises:
        CheckError: if two charges or two fidelities cannot be told apart, or two paths disagree.
        ModelError: for a state or structure the committee was not trained on.
    """
    frames = [frame if q == frame.charge else frame.recharged(q, origin=frame.origin) for q in charges]
    _check_prior(committee, frames, fidelities[-1])
    committee = committee.alone()
    results = {
        "training file": _training_file(committee, frames, fidelities),
        "calculator": _calculator(committee, frames, fidelities),
        "batch": _batch(committee, frames, fidelities),
    }
    charge_pairs = [((a, f), (b, f)) for a, b in combinations(charges, 2) for f in fidelities]
    head_pairs = [((q, a), (q, b)) for a, b in combinations(fidelities, 2) for q in charges]
    splits = {"charge": (np.inf, np.inf), "fidelity": (np.inf, np.inf)}
    for path, found in results.items():
        learned = _learned(committee, frame, found)
        for thing, pairs in (("charge", charge_pairs), ("fidelity", head_pairs)):
            for pair in pairs:
                split = _check_pair(path, thing, pair, found, learned)
                splits[thing] = (min(splits[thing][0], split[0]), min(splits[thing][1], split[1]))
    return CheckReport(
        frame_id=frame.frame_id,
        charges=tuple(charges),
        fidelities=tuple(fidelities),
        energies_eV={path: {state: energy for state, (energy, _) in found.items()} for path, found in results.items()},
        charge_split_eV=splits["charge"][0] if charge_pairs else None,
        charge_split_eV_A=splits["charge"][1] if charge_pairs else None,
        fidelity_split_eV=splits["fidelity"][0] if head_pairs else None,
        fidelity_split_eV_A=splits["fidelity"][1] if head_pairs else None,
        disagreement_eV=_check_agreement(results, AGREEMENT_eV[committee.card.dtype]),
    )


Results = dict[State, tuple[float, Floats]]
"""Energy (eV) and forces (n, 3) (eV/A) of each state."""


def _training_file(committee: Committee, frames: Sequence[Frame], fidelities: Sequence[str]) -> Results:
    """Write extended XYZ, read it back, and make graphs as training does."""
    graphs = Graphs.of(committee.card)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.extxyz"
        write_frames(path, frames)
        read = read_frames(path)
    results: Results = {}
    for asked, frame in zip(frames, read, strict=True):
        for fidelity in fidelities:
            committee.check(frame.numbers, frame.charge, fidelity)
            with numerics(committee.card.dtype, find_device(committee.device)):
                graph = graphs.frame(frame, fidelity)
                prediction = committee.predict([graph])[0]
            results[asked.charge, fidelity] = prediction.energy_eV, prediction.forces_eV_A
    return results


def _calculator(committee: Committee, frames: Sequence[Frame], fidelities: Sequence[str]) -> Results:
    """The ASE calculator, with atoms that know nothing of their charge."""
    results: Results = {}
    for frame in frames:
        for fidelity in fidelities:
            atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
            atoms.calc = committee.calculator(frame.charge, fidelity)
            results[frame.charge, fidelity] = atoms.get_potential_energy(), atoms.get_forces()
    return results


def _batch(committee: Committee, frames: Sequence[Frame], fidelities: Sequence[str]) -> Results:
    """All charges in one batch."""
    results: Results = {}
    for fidelity in fidelities:
        predictions = committee.evaluate_many(frames, fidelity)
        for frame, prediction in zip(frames, predictions, strict=True):
            results[frame.charge, fidelity] = prediction.energy_eV, prediction.forces_eV_A
    return results


def _check_prior(committee: Committee, frames: Sequence[Frame], fidelity: str) -> None:
    """The prior must be put back whole, on the calculator's path and on the batch's, in the first charge that it has
    a value for. One that has none for a geometry says nothing of the path: other geometries may have one."""
    if committee.prior is None:
        return
    for frame in frames:
        try:
            (prior,) = committee.prior.evaluate_many([frame])
        except CalculationFailed as error:
            logger.warning("the prior's path is not checked in charge %s: %s", format_charge(frame.charge), error)
            continue
        _check_sum(committee, frame, fidelity, prior)
        return


def _check_sum(committee: Committee, frame: Frame, fidelity: str, prior: Label) -> None:
    """What is learned and the prior's value are the answer of either path."""
    learned = committee.alone().evaluate(frame, fidelity)
    atoms = Atoms(frame.numbers, frame.positions_A, cell=frame.cell_A, pbc=True)
    atoms.calc = committee.calculator(frame.charge, fidelity, frame.multiplicity)
    state = (frame.charge, fidelity)
    whole = put_back(learned, prior)
    batch = committee.evaluate(frame, fidelity)
    _check_agreement(
        {
            "sum": {state: (whole.energy_eV, whole.forces_eV_A)},
            "calculator": {state: (atoms.get_potential_energy(), atoms.get_forces())},
            "batch": {state: (batch.energy_eV, batch.forces_eV_A)},
        },
        AGREEMENT_eV[committee.card.dtype],
    )


def _learned(committee: Committee, frame: Frame, results: Results) -> dict[State, float]:
    """Energies less the references, eV."""
    return {state: energy - committee.reference_eV(frame.numbers, *state) for state, (energy, _) in results.items()}


def _check_pair(
    path: str,
    thing: str,
    pair: tuple[State, State],
    results: Results,
    learned: dict[State, float],
) -> tuple[float, float]:
    """Differences of learned energy (eV) and of force (eV/A) between two states."""
    one, other = pair
    (one_eV, one_eV_A), (other_eV, other_eV_A) = results[one], results[other]
    raw = abs(one_eV - other_eV)
    energy = abs(learned[one] - learned[other])
    force = float(np.max(np.abs(one_eV_A - other_eV_A)))
    names = " and ".join(f"{format_charge(charge)} at {name}" for charge, name in pair)
    remedy = "Charge and head must reach the network: train longer, or on more structures of each charge"
    if raw <= ENERGY_NOISE_eV:
        what = f"energies of {names} differ by {raw:.1e} eV"
        raise CheckError(f"{thing} check, {path} path", what, remedy)
    if energy <= ENERGY_NOISE_eV and force <= FORCE_NOISE_eV_A:
        what = f"{names} differ by a constant only ({energy:.1e} eV learned, {force:.1e} eV/A)"
        raise CheckError(f"{thing} check, {path} path", what, remedy)
    return energy, force


def _check_agreement(results: dict[str, Results], tolerance_eV: float) -> float:
    worst = 0.0
    for one, other in combinations(results, 2):
        for state, (energy, _) in results[one].items():
            difference = abs(energy - results[other][state][0])
            worst = max(worst, difference)
            if difference > tolerance_eV:
                what = f"{difference:.1e} eV between {one} and {other}"
                remedy = f"Paths must agree to {tolerance_eV:g} eV; this is a defect of the package"
                raise CheckError(f"path check, charge {format_charge(state[0])}", what, remedy)
    return worst
