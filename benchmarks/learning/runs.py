"""The runs of the model benchmark: every combination that is trained, each with a name."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product

from benchmarks.learning.settings import ModelBenchmark, Selector
from defectscape.settings.training import Strategy, TrainingSettings


@dataclass(frozen=True)
class ModelRun:
    """One training.

    Attributes:
        data: name of the data set.
        schedule: name of the schedule.
        strategy: how the fidelities make one model.
        charge_embedding: whether the network sees the charge.
        high_labels: high-fidelity training labels.
        repeat: decides families, labels and weights.
        member: other weights with the same families and labels.
        selector: how the labels beyond the first ``first`` were chosen.
        first: labels before the choice; 0 if all are random.
        prior: name of the prior under the model; empty for none. Not in the text that digests are made of: it shows
            in the labels.
    """

    data: str
    schedule: str
    strategy: Strategy
    charge_embedding: bool
    high_labels: int
    repeat: int
    member: int = 0
    selector: Selector = "random"
    first: int = 0
    prior: str = field(default="", repr=False)

    @property
    def label(self) -> str:
        """The strategy as figures name it."""
        name = self.strategy if self.charge_embedding else f"{self.strategy}, no charge"
        return f"{name} over {self.prior}" if self.prior else name

    @property
    def chosen(self) -> bool:
        """Whether a committee or a spread chose some of its labels."""
        return self.selector != "random"

    @property
    def name(self) -> str:
        """A name for files."""
        chosen = f"-{self.selector}_after_{self.first}" if self.chosen else ""
        return f"{self._kind}-{self.high_labels}-{self.repeat}-{self.member}{chosen}"

    @property
    def first_phase(self) -> str:
        """A name for what is trained before any high-fidelity label comes in: of all label counts the same."""
        return f"{self._kind}-{self.repeat}-{self.member}"

    @property
    def _kind(self) -> str:
        """What all label counts, repetitions and members have in common."""
        charge = "" if self.charge_embedding else "_no_charge"
        over = f"_over_{self.prior}" if self.prior else ""
        return f"{self.data}-{self.schedule}-{self.strategy}{charge}{over}"


def runs_of(benchmark: ModelBenchmark) -> tuple[ModelRun, ...]:
    """All runs; the calibrated ones of the most labels have a committee under the first schedule."""
    return tuple(dict.fromkeys([*_runs(benchmark), *_trials(benchmark)]))


def choosing_committee(benchmark: ModelBenchmark, run: ModelRun) -> tuple[ModelRun, ...]:
    """The runs whose models choose the labels of a run; none if it needs none."""
    if not run.chosen:
        return ()
    members = next(t.committee for t in benchmark.selection if (t.data, t.first) == (run.data, run.first))
    base = replace(run, high_labels=run.first, selector="random", first=0)
    return tuple(replace(base, member=member) for member in range(members))


def _trials(benchmark: ModelBenchmark) -> Iterator[ModelRun]:
    """Runs of the selection trials, and those they are compared with and chosen by."""
    schedule = benchmark.schedules[0].name
    for trial in benchmark.selection:
        for repeat in range(benchmark.repeats):
            for selector in trial.selectors:
                random = selector == "random"
                run = ModelRun(
                    trial.data,
                    schedule,
                    trial.strategy,
                    True,
                    trial.second,
                    repeat,
                    selector=selector,
                    first=0 if random else trial.first,
                )
                yield from choosing_committee(benchmark, run)
                yield run


def _runs(benchmark: ModelBenchmark) -> Iterator[ModelRun]:
    known = benchmark.strategies
    calibrated = known if benchmark.calibrated is None else benchmark.calibrated
    for pair in benchmark.data:
        for place, schedule in enumerate(benchmark.schedules):
            if pair.name not in (schedule.data or [pair.name]):
                continue
            points = schedule.high_labels or pair.high_labels
            for count in sorted(set(points) & set(pair.high_labels)):
                last = place == 0 and count == max(pair.high_labels)
                chosen = set(schedule.strategies or known) & set(pair.strategies or known)
                kinds = [(strategy, True) for strategy in known if strategy in chosen]
                if place == 0 and count in (benchmark.without_charge_labels or [count]):
                    kinds += [(s, False) for s in benchmark.without_charge if s in chosen]
                for strategy, charge in kinds:
                    members = benchmark.committee
                    if not (last and charge and strategy in calibrated):
                        members = 1
                    for repeat in range(benchmark.repeats):
                        for member, prior in product(range(members), pair.priors):
                            run = ModelRun(pair.name, schedule.name, strategy, charge, count, repeat, member)
                            yield replace(run, prior=prior)


def training_of(benchmark: ModelBenchmark, run: ModelRun) -> TrainingSettings:
    """The settings of a run: both phases of a strategy share the schedule's steps."""
    (schedule,) = [s for s in benchmark.schedules if s.name == run.schedule]
    two = run.strategy in ("pretrain_finetune", "delta")
    steps = schedule.steps // 2 if two else schedule.steps
    changes = {
        "strategy": run.strategy,
        "steps": steps,
        "pretrain_steps": steps if two else None,
        "patience": schedule.patience,
    }
    return benchmark.training.model_copy(update=changes)
