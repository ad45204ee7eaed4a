"""How good a model's levels and configuration-coordinate curves were in finished studies."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from defectscape.domain.errors import ConfigError
from defectscape.files.tables import write_json
from defectscape.summary.schema import CcdSummary, Summary


@dataclass(frozen=True)
class CurveRow:
    """One diagram: model against engine along it.

    Attributes:
        study, high: the study and its high level.
        defect, initial_charge, final_charge: the transition.
        dQ_amu05_A: distance of the ground states, amu^(1/2) A.
        points: points that the engine computed, ground states not counted.
        rms_meV, largest_meV: the model's own differences there, meV; None without such points.
        left_out_rms_meV: of the curves moved onto the engine's points, at points left out in turn.
        span_meV: the engine's largest energy among them, meV.
    """

    study: str
    high: str
    defect: str
    initial_charge: int
    final_charge: int
    dQ_amu05_A: float
    points: int
    rms_meV: float | None
    largest_meV: float | None
    left_out_rms_meV: float | None
    span_meV: float | None


@dataclass(frozen=True)
class LevelRow:
    """Levels of the searching committee against the engine's, in one study.

    Attributes:
        study, high: the study and its high level.
        levels: how many.
        rms_meV, largest_meV: model less engine, meV; None if there is none.
        inside_bar: how many lie within one calibrated bar, of those that have one.
        with_bar: how many have one.
    """

    study: str
    high: str
    levels: int
    rms_meV: float | None
    largest_meV: float | None
    inside_bar: int
    with_bar: int


@dataclass(frozen=True)
class PhysicsResult:
    """All studies."""

    curves: tuple[CurveRow, ...]
    levels: tuple[LevelRow, ...]


def gather_physics(summaries: Sequence[Path], target: Path) -> PhysicsResult:
    """Gather what the summaries of finished studies say.

    Args:
        summaries: their ``summary.json``.
        target: JSON file to write.

    Raises:
        ConfigError: if a file is no summary.
    """
    curves: list[CurveRow] = []
    levels: list[LevelRow] = []
    for path in summaries:
        try:
            summary = Summary.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                str(path), str(error).splitlines()[0], "Give the summary.json of a finished study"
            ) from error
        curves += [_curve(summary, row) for row in summary.ccd]
        levels.append(_levels(summary))
    result = PhysicsResult(tuple(curves), tuple(levels))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, asdict(result))
    return result


def _curve(summary: Summary, row: CcdSummary) -> CurveRow:
    checks = [*row.initial_checks, *row.final_checks]
    errors = np.array([1e3 * (point.model_eV - point.engine_eV) for point in checks])
    return CurveRow(
        summary.study,
        summary.high.method,
        row.defect,
        row.initial_charge,
        row.final_charge,
        row.dQ_amu05_A,
        len(checks),
        _rms(errors),
        _largest(errors),
        None if row.left_out_rms_eV is None else 1e3 * row.left_out_rms_eV,
        max(1e3 * point.engine_eV for point in checks) if checks else None,
    )


def _levels(summary: Summary) -> LevelRow:
    rows = summary.level_tests
    errors = np.array([1e3 * row.model_error_eV for row in rows])
    barred = [row for row in rows if row.bar_eV is not None]
    inside = sum(abs(row.model_error_eV) <= (row.bar_eV or 0.0) for row in barred)
    return LevelRow(
        summary.study,
        summary.high.method,
        len(rows),
        _rms(errors),
        _largest(errors),
        inside,
        len(barred),
    )


def _rms(values: np.ndarray) -> float | None:
    return float(np.sqrt(np.mean(values**2))) if len(values) else None


def _largest(values: np.ndarray) -> float | None:
    return float(np.abs(values).max()) if len(values) else None
