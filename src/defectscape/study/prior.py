"""Labels over the study's prior: what a model is to learn of them, and those that the prior has no value for."""

from collections.abc import Sequence

from defectscape.domain.label import Label, LabelledFrame
from defectscape.domain.prior import taken_off
from defectscape.engines.prior import EnginePrior
from defectscape.study.context import StudyContext


def over_prior(context: StudyContext, data: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The data with the prior taken off, in their order; without those that it fails for, which its store records.

    The prior's values come from its store, or are computed now and kept there. Without a prior, the data as they are.
    """
    if context.prior is None:
        return list(data)
    return [taken_off(item, value) for item, value in _with_values(context.prior, data)]


def known_to_prior(context: StudyContext, data: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The data that the prior has a value for: all of them without a prior."""
    if context.prior is None:
        return list(data)
    return [item for item, _ in _with_values(context.prior, data)]


def _with_values(prior: EnginePrior, data: Sequence[LabelledFrame]) -> list[tuple[LabelledFrame, Label]]:
    """The data that the prior does not fail for, with its values."""
    values = prior.label_many([item.frame for item in data])
    return [(item, value) for item, value in zip(data, values, strict=True) if value is not None]
