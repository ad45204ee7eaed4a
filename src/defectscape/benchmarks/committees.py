"""What needs the trained models themselves: calibration of committees, and projections of descriptors.

The models stay in the results folder of the machine that trained them; where they are not, these parts of
the benchmark are left as they were.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from defectscape.benchmarks.arms import Arm, arms_of
from defectscape.benchmarks.descriptors import draw_projection
from defectscape.benchmarks.training import arm_data
from defectscape.domain.label import LabelledFrame
from defectscape.domain.seeds import derive_rng
from defectscape.model.calibration import Judged, Scale, calibrate
from defectscape.model.committee import Committee
from defectscape.settings.benchmark import ModelBenchmark

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CommitteeScale:
    """Calibration of one committee.

    Attributes:
        data, label, high_labels, repeat: which arms are its members.
        scale: the factor of one quantity and its coverage.
    """

    data: str
    label: str
    high_labels: int
    repeat: int
    scale: Scale


@dataclass(frozen=True)
class Separation:
    """Separation of descriptors by charge (silhouette, -1 to 1), and without the charge in them."""

    data: str
    label: str
    true_charge: float
    forced_charge: float


def committee_scales(benchmark: ModelBenchmark, scratch: Path) -> tuple[CommitteeScale, ...]:
    """Calibration of every committee whose models are all there.

    Args:
        benchmark: all settings.
        scratch: folder of the models.
    """
    arms = [arm for arm in arms_of(benchmark) if not arm.chosen and arm.charge_embedding]
    found: list[CommitteeScale] = []
    for base in [arm for arm in arms if arm.member == 0]:
        members = [arm for arm in arms if replace(arm, member=0) == base]
        paths = [scratch / f"{arm.name}.model" for arm in members]
        if len(members) < benchmark.committee or not all(path.exists() for path in paths):
            continue
        committee, data = Committee.load(paths), arm_data(benchmark, base)
        high = data.fidelities[1]
        sides = [_judged(committee, side, high) for side in (data.valid, data.test)]
        rng = derive_rng(benchmark.seed, "calibration", base.name)
        found += [
            CommitteeScale(base.data, base.label, base.high_labels, base.repeat, scale)
            for scale in calibrate(sides[0], sides[1], high, rng)
        ]
    return tuple(found)


def _judged(committee: Committee, data: Sequence[LabelledFrame], fidelity: str) -> list[Judged]:
    items = [item for item in data if item.fidelity == fidelity]
    points = committee.evaluate_many([item.frame for item in items], fidelity)
    return list(zip(items, points, strict=True))


def separations(benchmark: ModelBenchmark, scratch: Path, folder: Path) -> tuple[Separation, ...]:
    """Projections of the first repetition's models with the most labels, as figures.

    Args:
        benchmark: all settings.
        scratch: folder of the models.
        folder: of the figures.
    """
    chosen: dict[tuple[str, str], Arm] = {}
    for arm in arms_of(benchmark):
        first = arm.repeat == 0 and arm.member == 0 and arm.charge_embedding and not arm.chosen
        known = chosen.get((arm.data, arm.label))
        if first and (known is None or known.high_labels < arm.high_labels):
            chosen[arm.data, arm.label] = arm
    found = []
    for (data, label), arm in chosen.items():
        model = scratch / f"{arm.name}.model"
        if model.exists():
            everything = arm_data(benchmark, arm)
            high = everything.fidelities[1]
            frames = [
                item.frame
                for item in (*everything.train, *everything.test)
                if item.fidelity == high
            ]
            # One defect: another one is another cell, which separates by itself.
            defect = frames[0].key.defect
            frames = [frame for frame in frames if frame.key.defect == defect]
            seen, forced = draw_projection(
                folder / f"descriptors_{data}_{arm.strategy}", model, frames
            )
            found.append(Separation(data, label, seen.silhouette, forced.silhouette))
    return tuple(found)
