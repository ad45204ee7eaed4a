"""The arms of the model benchmark: every combination that is trained, each with a name."""

from collections.abc import Iterator
from dataclasses import dataclass

from defectscape.settings.benchmark import ModelBenchmark
from defectscape.settings.training import Strategy, Training


@dataclass(frozen=True)
class Arm:
    """One training.

    Attributes:
        data: name of the data set.
        schedule: name of the schedule.
        strategy: how the fidelities make one model.
        charge_embedding: whether the network sees the charge.
        high_labels: high-fidelity training labels.
        repeat: decides families, labels and weights.
        member: other weights with the same families and labels.
    """

    data: str
    schedule: str
    strategy: Strategy
    charge_embedding: bool
    high_labels: int
    repeat: int
    member: int = 0

    @property
    def label(self) -> str:
        """The strategy as figures name it."""
        return self.strategy if self.charge_embedding else f"{self.strategy}, no charge"

    @property
    def name(self) -> str:
        """A name for files."""
        charge = "" if self.charge_embedding else "_no_charge"
        return (
            f"{self.data}-{self.schedule}-{self.strategy}{charge}"
            f"-{self.high_labels}-{self.repeat}-{self.member}"
        )


def arms_of(benchmark: ModelBenchmark) -> tuple[Arm, ...]:
    """All arms; those of the most labels, under the first schedule, have a whole committee."""
    return tuple(_arms(benchmark))


def _arms(benchmark: ModelBenchmark) -> Iterator[Arm]:
    kinds = [(strategy, True) for strategy in benchmark.strategies]
    kinds += [(strategy, False) for strategy in benchmark.without_charge]
    for pair in benchmark.data:
        for place, schedule in enumerate(benchmark.schedules):
            points = schedule.high_labels or pair.high_labels
            for count in sorted(set(points) & set(pair.high_labels)):
                whole = place == 0 and count == max(pair.high_labels)
                for strategy, charge in kinds:
                    for repeat in range(benchmark.repeats):
                        for member in range(benchmark.committee if whole and charge else 1):
                            yield Arm(
                                pair.name, schedule.name, strategy, charge, count, repeat, member
                            )


def training_of(benchmark: ModelBenchmark, arm: Arm) -> Training:
    """The settings of an arm: both phases of a strategy share the schedule's steps."""
    (schedule,) = [s for s in benchmark.schedules if s.name == arm.schedule]
    two = arm.strategy in ("pretrain_finetune", "delta")
    steps = schedule.steps // 2 if two else schedule.steps
    changes = {
        "strategy": arm.strategy,
        "charge_embedding": arm.charge_embedding,
        "steps": steps,
        "pretrain_steps": steps if two else None,
        "patience": schedule.patience,
    }
    return benchmark.training.model_copy(update=changes)
