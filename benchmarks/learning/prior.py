"""Priors of the benchmark's runs: their values are labels of data sets, so that a run computes none."""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.learning.data import RunData, read_all
from benchmarks.learning.runs import ModelRun
from benchmarks.learning.settings import ModelBenchmark
from defectscape.domain.errors import ConfigError
from defectscape.domain.frame import Frame
from defectscape.domain.label import Label, LabelledFrame
from defectscape.domain.prior import taken_off


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
