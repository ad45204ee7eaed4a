"""What the figures of trust show, as plain numbers: verification errors, parity, training."""

from dataclasses import dataclass

from defectscape.report.figures_data import key_text
from defectscape.summary.schema import CurvePoint, ParityData, Summary, TrainingCurve


@dataclass(frozen=True)
class VerificationError:
    """Model minus engine at one minimum that the model had not seen."""

    key: str
    rank: int
    error_meV: float


def verification_errors(summary: Summary) -> tuple[VerificationError, ...]:
    """One entry per minimum that the engine computed, in the order of the summary."""
    return tuple(
        VerificationError(key_text(row.defect, row.charge), entry.rank, 1e3 * entry.model_error_eV)
        for row in summary.defects
        for entry in row.minima
        if entry.model_error_eV is not None
    )


def parity_by_fidelity(summary: Summary) -> dict[str, tuple[ParityData, ...]]:
    """Held-out pairs per head; the high fidelity first."""
    order = (summary.high.name, summary.low.name)
    names = sorted(
        dict.fromkeys(entry.fidelity for entry in summary.parity),
        key=lambda name: order.index(name) if name in order else len(order),
    )
    return {
        name: tuple(entry for entry in summary.parity if entry.fidelity == name) for name in names
    }


def training_by_group(summary: Summary) -> dict[str, tuple[TrainingCurve, ...]]:
    """Training curves per committee: ``final/0`` and ``final/1`` belong to ``final``."""
    groups: dict[str, list[TrainingCurve]] = {}
    for curve in summary.training:
        groups.setdefault(curve.model.rpartition("/")[0] or curve.model, []).append(curve)
    return {name: tuple(curves) for name, curves in groups.items()}


def final_curves(summary: Summary) -> tuple[TrainingCurve, ...]:
    """Curves of the final committee; those of the last group if none is called final."""
    groups = training_by_group(summary)
    if not groups:
        return ()
    return groups.get("final", groups[list(groups)[-1]])


def training_errors(point: CurvePoint, quantity: str) -> dict[str, float]:
    """Validation errors per head, meV/atom for energies and meV/Å for forces."""
    return point.energy_rmse_meV_atom if quantity == "energy" else point.force_rmse_meV_A


def label_times(summary: Summary) -> tuple[list[str], dict[str, list[float]]]:
    """Stages, and for each level the core time of its labels in each of them, s."""
    stages = list(dict.fromkeys(row.stage for row in summary.cost))
    parts = {
        name: [
            sum(row.core_s for row in summary.cost if (row.stage, row.fidelity) == (stage, name))
            for stage in stages
        ]
        for name in dict.fromkeys(row.fidelity for row in summary.cost)
    }
    return stages, parts
