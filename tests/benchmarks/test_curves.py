"""Learning curves: paired ratios, and what a label of one strategy is worth in another's."""

import math

import pytest

from benchmarks.learning.curves import CurvePoint, labels_for, make_curves
from benchmarks.learning.outcome import RunOutcome, SetError
from benchmarks.learning.runs import ModelRun


def outcome(strategy: str, count: int, repeat: int, force: float, **changes: object) -> RunOutcome:
    run = ModelRun(
        "d",
        "s",
        strategy,
        bool(changes.get("charge", True)),
        count,
        repeat,
        int(changes.get("member", 0)),
    )  # type: ignore[arg-type]
    error = SetError(None, 9, 3.0, 2.0, force)
    return RunOutcome(run, "0", 100, count, 5, (error,), None, error, 10, "step limit", 60.0, "cpu", ())


def point(labels: int, mean: float) -> CurvePoint:
    return CurvePoint(labels, 1, mean, None, None, None, 1.0)


def test_power_law_is_interpolated_exactly() -> None:
    """An error of 100 n^-1/2 is reached at n = (100 / error)^2, whatever the points."""
    base = [point(n, 100 / math.sqrt(n)) for n in (10, 30, 100)]
    for labels in (11, 25, 31, 99):
        assert labels_for(base, 100 / math.sqrt(labels)) == pytest.approx(labels)


def test_nothing_is_extrapolated() -> None:
    base = [point(10, 40.0), point(100, 20.0)]
    assert labels_for(base, 45.0) is None
    assert labels_for(base, 19.0) is None
    assert labels_for([], 30.0) is None


def test_ratios_are_paired_by_repetition() -> None:
    """Repetitions differ threefold in difficulty; the strategy is always a fifth better."""
    data = [outcome("high_only", 10, r, f) for r, f in enumerate((30.0, 60.0, 90.0))]
    data += [outcome("heads", 10, r, 0.8 * f) for r, f in enumerate((30.0, 60.0, 90.0))]
    curves = {(c.label, c.quantity, c.near): c for c in make_curves(data)}
    (found,) = curves["heads", "force_rmse_meV_A", False].points
    assert (found.repeats, found.mean) == (3, pytest.approx(48.0))
    assert found.deviation == pytest.approx(24.0)
    assert found.against_high_only == pytest.approx(0.8)
    assert found.ratio_deviation == pytest.approx(0.0, abs=1e-12)
    assert ("heads", "force_rmse_meV_A", True) not in curves


def test_members_and_ablations_stay_apart() -> None:
    data = [outcome("heads", 10, 0, 30.0), outcome("heads", 10, 0, 99.0, member=1)]
    data.append(outcome("heads", 10, 0, 50.0, charge=False))
    means = {c.label: c.points[0].mean for c in make_curves(data) if c.quantity == "force_rmse_meV_A"}
    assert means == {"heads": 30.0, "heads, no charge": 50.0}
