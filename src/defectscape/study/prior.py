"""Labels over the study's prior: what a model is to learn of them, and those that the prior has no value for."""

from collections.abc import Sequence

from defectscape.domain.label import LabelledFrame
from defectscape.domain.prior import taken_off
from defectscape.study.context import StudyContext


def over_prior(context: StudyContext, data: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The data with the prior taken off, in their order; without those that it fails for, which its store records.

    The prior's values come from its store, or are computed now and kept there. Without a prior, the data as they are.
    """
    if context.prior is None:
        return list(data)
    values = context.prior.label_many([item.frame for item in data])
    return [taken_off(item, value) for item, value in zip(data, values, strict=True) if value is not None]


def known_to_prior(context: StudyContext, data: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The data that the prior has a value for: all of them without a prior."""
    if context.prior is None:
        return list(data)
    values = context.prior.label_many([item.frame for item in data])
    return [item for item, value in zip(data, values, strict=True) if value is not None]
