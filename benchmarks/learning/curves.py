"""From runs to learning curves: means and spreads over repetitions, and what low fidelity saves."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.learning.outcome import RunOutcome, SetError

QUANTITIES = ("force_rmse_meV_A", "energy_rmse_meV_atom", "energy_centred_rmse_meV_atom")


@dataclass(frozen=True)
class CurvePoint:
    """Errors of one kind of run at one number of labels.

    Attributes:
        high_labels: high-fidelity training labels.
        repeats: repetitions that are there.
        mean: of the error over repetitions.
        deviation: standard deviation over repetitions; None for one.
        against_high_only: mean of the paired ratio to ``high_only`` of the same repetition; None
            where that is not there.
        ratio_deviation: its standard deviation.
        core_s: mean processor time of a training, s.
    """

    high_labels: int
    repeats: int
    mean: float
    deviation: float | None
    against_high_only: float | None
    ratio_deviation: float | None
    core_s: float


@dataclass(frozen=True)
class Curve:
    """A learning curve.

    Attributes:
        data, schedule, label: which runs.
        quantity: which error, with its unit.
        near: whether only frames near a minimum count.
        points: by number of labels.
        labels_worth: for every point, the labels that ``high_only`` needs for its error, by log-log
            interpolation; None outside of that curve.
    """

    data: str
    schedule: str
    label: str
    quantity: str
    near: bool
    points: tuple[CurvePoint, ...]
    labels_worth: tuple[float | None, ...]


def error_of(outcome: RunOutcome, quantity: str, *, near: bool) -> float | None:
    """One error of a run; None if it has no frames for it."""
    errors: SetError | None = outcome.near if near else outcome.errors[0]
    return None if errors is None else float(getattr(errors, quantity))


def make_curves(outcomes: Sequence[RunOutcome]) -> tuple[Curve, ...]:
    """All curves of the runs that are there; members beyond the first do not count."""
    singles = [o for o in outcomes if o.run.member == 0 and not o.run.chosen]
    kinds = dict.fromkeys((o.run.data, o.run.schedule, o.run.label) for o in singles)
    curves = []
    for data, schedule, label in kinds:
        for quantity in QUANTITIES:
            for near in (False, True):
                mine = [o for o in singles if (o.run.data, o.run.schedule) == (data, schedule)]
                points = _points(mine, label, quantity, near)
                base = _points(mine, "high_only", quantity, near)
                if points:
                    worth = tuple(labels_for(base, point.mean) for point in points)
                    curves.append(Curve(data, schedule, label, quantity, near, points, worth))
    return tuple(curves)


def _points(outcomes: Sequence[RunOutcome], label: str, quantity: str, near: bool) -> tuple[CurvePoint, ...]:
    values: dict[tuple[str, int, int], float] = {}
    times: dict[int, list[float]] = {}
    for outcome in outcomes:
        error = error_of(outcome, quantity, near=near)
        run = outcome.run
        if error is not None:
            values[run.label, run.high_labels, run.repeat] = error
        if run.label == label:
            times.setdefault(run.high_labels, []).append(outcome.core_s)
    points = []
    for count in sorted(times):
        own = {r: v for (name, n, r), v in values.items() if (name, n) == (label, count)}
        if not own:
            continue
        ratios = [v / values["high_only", count, r] for r, v in own.items() if ("high_only", count, r) in values]
        points.append(
            CurvePoint(
                count,
                len(own),
                float(np.mean(list(own.values()))),
                deviation_of(list(own.values())),
                float(np.mean(ratios)) if ratios else None,
                deviation_of(ratios),
                float(np.mean(times[count])),
            )
        )
    return tuple(points)


def deviation_of(values: Sequence[float]) -> float | None:
    """Standard deviation of values, None for less than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def labels_for(base: Sequence[CurvePoint], error: float) -> float | None:
    """High-fidelity labels at which a curve reaches an error, by log-log interpolation.

    None if the curve never does, or has it already at its first point: no extrapolation.
    """
    for before, after in pairwise(base):
        if before.mean >= error >= after.mean and before.mean > after.mean:
            share = np.log(before.mean / error) / np.log(before.mean / after.mean)
            step = np.log(after.high_labels / before.high_labels)
            return float(before.high_labels * np.exp(share * step))
    return None
