"""What a run trains on and is measured on, and the prior that is taken off it.

A prior's values are labels of data sets, so that a run computes none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.learning.folds import draw, make_fold, part
from benchmarks.learning.runs import ModelRun
from benchmarks.learning.selecting import choose
from benchmarks.learning.settings import DataSetPair, ModelBenchmark
from defectscape.domain.errors import ConfigError
from defectscape.domain.frame import Frame
from defectscape.domain.label import Label, LabelledFrame
from defectscape.domain.prior import taken_off
from defectscape.model.committee import Committee
from defectscape.study.labels import unique
from defectscape.tools.data_sets import read_card, read_data_set


@dataclass(frozen=True, eq=False)
class RunData:
    """What a run trains on and is measured on."""

    fidelities: tuple[str, str]
    train: tuple[LabelledFrame, ...]
    valid: tuple[LabelledFrame, ...]
    test: tuple[LabelledFrame, ...]

    def without_charge(self) -> "RunData":
        """The same with every frame as charge 0: a model of these cannot know the charge."""
        train, valid, test = (tuple(map(_neutral, side)) for side in (self.train, self.valid, self.test))
        return RunData(self.fidelities, train, valid, test)


def read_pair(pair: DataSetPair) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """Low and high labels of the defects, in the families that the split asks for.

    Those of the host and of the references are left out.
    """
    low, high = read_all(pair.low), read_all(pair.high)
    if pair.split == "structures":
        low, high = list(map(_alone, low)), list(map(_alone, high))
    return low, high


def read_all(paths: Sequence[Path]) -> list[LabelledFrame]:
    """The defects' labels of data sets of one fidelity; a frame that several hold comes once."""
    labelled = [item for path in paths for item, _ in read_data_set(path, read_card(path))]
    fidelities = sorted({item.fidelity for item in labelled})
    if len(fidelities) > 1:
        raise ConfigError(
            f"data sets {', '.join(map(str, paths))}",
            f"hold {' and '.join(fidelities)}",
            "Give data sets of one fidelity together",
        )
    return unique(item for item in labelled if "/" in item.frame.family)


def _neutral(item: LabelledFrame) -> LabelledFrame:
    """The label of its own charge state, on a structure that says charge 0."""
    return replace(item, frame=item.frame.recharged(0, origin=item.frame.origin))


def _alone(item: LabelledFrame) -> LabelledFrame:
    """The label with its structure, in its charge state, as its family at both fidelities."""
    return replace(item, frame=replace(item.frame, family=item.frame.geometry_hash))


def run_data(benchmark: ModelBenchmark, run: ModelRun, committee: Callable[[], Committee] | None = None) -> RunData:
    """The run's frames.

    Args:
        benchmark: all settings.
        run: which.
        committee: gives what chooses the labels, for a run whose labels are chosen.

    Raises:
        ConfigError: if there are fewer labels than it asks for.
    """
    (pair,) = [pair for pair in benchmark.data if pair.name == run.data]
    low, high = read_pair(pair)
    names = low[0].fidelity, high[0].fidelity
    families = sorted({item.frame.family for item in high})
    fold = make_fold(families, pair.test_families, pair.valid_families, benchmark.seed, run.repeat)
    outside = fold.test | fold.valid
    # Low-fidelity frames of families that have no high label at all may train.
    low_train = [item for item in low if item.frame.family not in outside]
    pool = part(high, fold.train)
    high_train = draw(pool, run.first or run.high_labels, benchmark.seed, run.repeat)
    if committee is not None:
        high_train = choose(run, high_train, pool, committee(), pair.centre)
    return RunData(
        names,
        (*low_train, *high_train),
        (*part(low, fold.valid), *part(high, fold.valid)),
        tuple(_novel(pair, [*low, *high]) if pair.novel else part(high, fold.test)),
    )


def _novel(pair: DataSetPair, known: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The structures that were found later, less those that are among the others in the same charge."""
    seen = {item.frame.frame_id for item in known}
    found = [item for item in read_all(pair.novel) if item.frame.charge in pair.novel_charges]
    return [item for item in found if item.frame.frame_id not in seen]


class KnownPrior:
    """A prior whose values are known for some structures; see ``domain.prior.Prior``.

    Args:
        name: of the prior.
        values: labels of structures in their charge states.
    """

    def __init__(self, name: str, values: Sequence[LabelledFrame]) -> None:
        self.name = name
        self._labels = {item.frame.frame_id: item.label for item in values}

    def knows(self, frame: Frame) -> bool:
        """Whether it has a value for a structure in its charge state: a prior may fail for some."""
        return frame.frame_id in self._labels

    def evaluate_many(self, frames: Sequence[Frame]) -> list[Label]:
        """Energy and forces of each frame, in their order.

        Raises:
            ConfigError: for a frame that it has no value for.
        """
        for frame in frames:
            if not self.knows(frame):
                raise ConfigError(f"prior {self.name}", f"no value of {frame.key} frame {frame.frame_id}", "Add it")
        return [self._labels[frame.frame_id] for frame in frames]


def read_prior(benchmark: ModelBenchmark, run: ModelRun) -> KnownPrior | None:
    """The prior of a run, or None."""
    if not run.prior:
        return None
    (data,) = [prior for prior in benchmark.priors if prior.name == run.prior]
    return KnownPrior(run.prior, read_all(data.values))


def with_values(data: RunData, prior: KnownPrior | None) -> RunData:
    """The frames that the prior has a value for."""
    if prior is None:
        return data
    sides = [tuple(item for item in side if prior.knows(item.frame)) for side in (data.train, data.valid, data.test)]
    return replace(data, train=sides[0], valid=sides[1], test=sides[2])


def over(data: RunData, prior: KnownPrior | None) -> RunData:
    """What a model is to learn: the prior taken off the labels that it trains on and stops by."""
    if prior is None:
        return data
    train, valid = (_taken_off(side, prior) for side in (data.train, data.valid))
    return replace(data, train=train, valid=valid)


def _taken_off(items: Sequence[LabelledFrame], prior: KnownPrior) -> tuple[LabelledFrame, ...]:
    values = prior.evaluate_many([item.frame for item in items])
    return tuple(taken_off(item, value) for item, value in zip(items, values, strict=True))
