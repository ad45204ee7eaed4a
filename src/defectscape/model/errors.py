"""Errors of a committee on held-out labels: tables, and the pairs behind them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.calculators.calculator import CalculationFailed

from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Floats
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import LabelledFrame
from defectscape.domain.prediction import Prediction
from defectscape.domain.statistics import less_group_means, rms
from defectscape.model.committee import Committee

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ErrorRow:
    """Errors over one set of held-out frames.

    Attributes:
        fidelity: head.
        defect: name, or None for all defects.
        charge: e, or None for all charges.
        frames: how many.
        energy_mae_meV_atom, energy_rmse_meV_atom: of the energy per atom.
        energy_rmse_constants_refitted_meV_atom: of the energy per atom, after the mean error of each defect
            and charge is removed: the error of energy differences within one charge state.
        forces_mae_meV_A, forces_rmse_meV_A: per Cartesian component.
    """

    fidelity: str
    defect: str | None
    charge: int | None
    frames: int
    energy_mae_meV_atom: float
    energy_rmse_meV_atom: float
    energy_rmse_constants_refitted_meV_atom: float
    forces_mae_meV_A: float
    forces_rmse_meV_A: float


@dataclass(frozen=True, eq=False)
class Parity:
    """Labels and predictions, paired, for one fidelity.

    Attributes:
        fidelity: head.
        frame_ids: one per frame.
        keys: defect and charge, one per frame.
        atoms: number of atoms of each frame, shape (m,).
        label_energy_eV, model_energy_eV: shape (m,), eV.
        label_forces_eV_A, model_forces_eV_A: all atoms of all frames in order, (sum, 3), eV/A.
        force_std_eV_A: committee standard deviation per atom, shape (sum,), eV/A.
    """

    fidelity: str
    frame_ids: tuple[str, ...]
    keys: tuple[DefectKey, ...]
    atoms: np.ndarray
    label_energy_eV: Floats
    model_energy_eV: Floats
    label_forces_eV_A: Floats
    model_forces_eV_A: Floats
    force_std_eV_A: Floats


@dataclass(frozen=True, eq=False)
class ErrorTable:
    """Rows (per fidelity: all; then each defect; then each defect and charge), pairs, refusals.

    Attributes:
        rows: the errors.
        parity: one per fidelity that has held-out frames.
        refused: frames the committee refused, with its reason, as (frame_id, reason).
    """

    rows: tuple[ErrorRow, ...]
    parity: tuple[Parity, ...]
    refused: tuple[tuple[str, str], ...]


def error_table(committee: Committee, held_out: Sequence[LabelledFrame]) -> ErrorTable:
    """Compare a committee with labels it has not seen.

    A frame that the committee refuses (say, a charge that has no training frame at that fidelity), or that its
    prior has no value for, has no error; it is listed in ``refused`` and logged. Frames of a fidelity that the
    strategy leaves out of the model (``high_only``, say) are passed over.
    """
    rows: list[ErrorRow] = []
    parities: list[Parity] = []
    refused: list[tuple[str, str]] = []
    usable: list[LabelledFrame] = []
    for item in held_out:
        if item.fidelity not in committee.card.fidelities:
            continue
        try:
            committee.check(item.frame.numbers, item.frame.charge, item.fidelity)
            usable.append(item)
        except ModelError as error:
            logger.warning("frame %s has no error: %s", item.frame.frame_id, error)
            refused.append((item.frame.frame_id, str(error)))
    for fidelity in committee.card.fidelities:
        of_level = [item for item in usable if item.fidelity == fidelity]
        items, predictions = answered(committee, of_level, fidelity, refused)
        if items:
            parity = _parity(fidelity, items, predictions)
            parities.append(parity)
            rows += _rows(parity)
    return ErrorTable(tuple(rows), tuple(parities), tuple(refused))


def answered(
    committee: Committee, items: Sequence[LabelledFrame], fidelity: str, refused: list[tuple[str, str]]
) -> tuple[list[LabelledFrame], list[Prediction]]:
    """The frames that a committee's prior has a value for, with the predictions; the others go to ``refused``."""
    kept, predictions = [], []
    for item, answer in zip(items, committee.answers([item.frame for item in items], fidelity), strict=True):
        if isinstance(answer, CalculationFailed):
            logger.warning("frame %s has no error: %s", item.frame.frame_id, answer)
            refused.append((item.frame.frame_id, str(answer)))
        else:
            kept.append(item)
            predictions.append(answer)
    return kept, predictions


def _parity(fidelity: str, items: Sequence[LabelledFrame], predictions: Sequence[Prediction]) -> Parity:
    return Parity(
        fidelity=fidelity,
        frame_ids=tuple(item.frame.frame_id for item in items),
        keys=tuple(item.frame.key for item in items),
        atoms=np.array([len(item.frame) for item in items]),
        label_energy_eV=np.array([item.label.energy_eV for item in items]),
        model_energy_eV=np.array([prediction.energy_eV for prediction in predictions]),
        label_forces_eV_A=np.concatenate([item.label.forces_eV_A for item in items]),
        model_forces_eV_A=np.concatenate([prediction.forces_eV_A for prediction in predictions]),
        force_std_eV_A=np.concatenate([prediction.force_std_eV_A for prediction in predictions]),
    )


def _rows(parity: Parity) -> list[ErrorRow]:
    keys = sorted(set(parity.keys))
    defects = dict.fromkeys(key.defect for key in keys)
    return [
        _row(parity, None, None),
        *(_row(parity, defect, None) for defect in defects),
        *(_row(parity, key.defect, key.charge) for key in keys),
    ]


def _row(parity: Parity, defect: str | None, charge: int | None) -> ErrorRow:
    """Errors of the frames of a defect and charge; None stands for all."""
    chosen = np.array([defect in (None, key.defect) and charge in (None, key.charge) for key in parity.keys])
    errors = 1e3 * (parity.model_energy_eV - parity.label_energy_eV) / parity.atoms
    refitted = less_group_means(errors, np.array([str(key) for key in parity.keys]))
    force_errors = 1e3 * (parity.model_forces_eV_A - parity.label_forces_eV_A)
    force_errors = force_errors[np.repeat(chosen, parity.atoms)]
    return ErrorRow(
        fidelity=parity.fidelity,
        defect=defect,
        charge=charge,
        frames=int(chosen.sum()),
        energy_mae_meV_atom=float(np.abs(errors[chosen]).mean()),
        energy_rmse_meV_atom=rms(errors[chosen]),
        energy_rmse_constants_refitted_meV_atom=rms(refitted[chosen]),
        forces_mae_meV_A=float(np.abs(force_errors).mean()),
        forces_rmse_meV_A=rms(force_errors),
    )
