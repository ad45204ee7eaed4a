"""The attempts of an engine at one frame, one after the other, until one succeeds."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Frame
from defectscape.engines.base import CalculationFailed, Engine

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Attempted(Generic[T]):
    """What an engine's attempts at one frame gave.

    Attributes:
        result: what the call returned, or None if all attempts failed.
        failure: the reason of every attempt's failure, or None if one succeeded.
        last: index of the last attempt made, from 0.
    """

    result: T | None
    failure: str | None
    last: int


def try_attempts(
    engine: Engine, frame: Frame, call: Callable[[Frame, int], T], most: int | None = None
) -> Attempted[T]:
    """Make the engine's attempts until one succeeds, or until one fails for a reason common to all.

    Args:
        engine: names its attempts.
        frame: the structure.
        call: computes something of the frame with the attempt of this index; raises CalculationFailed or
            LabelError if it fails. Any other exception ends the work.
        most: how many attempts are made, the first ones; None for all.
    """
    reasons = []
    index = 0
    for index, attempt in enumerate(engine.attempts[:most]):
        try:
            return Attempted(call(frame, index), None, index)
        except CalculationFailed as error:
            reason, hopeless = error.reason, error.hopeless
        except LabelError as error:
            reason, hopeless = str(error), False
        reasons.append(f"{attempt.name}: {reason}")
        logger.info("%s frame %s: %s", frame.key, frame.frame_id, reasons[-1])
        if hopeless:
            break
    return Attempted(None, "; ".join(reasons), index)
