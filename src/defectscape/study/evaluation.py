"""What was measured on the final committee: errors on held-out frames, and the calibration."""

from collections.abc import Sequence

from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
from defectscape.model.calibration import Scale
from defectscape.model.errors import ErrorTable
from defectscape.study.context import StudyContext


def read_errors(context: StudyContext) -> ErrorTable:
    """Errors and parity data of the final committee."""
    found: ErrorTable = decode(ErrorTable, read_json(context.layout.errors))
    return found


def write_errors(context: StudyContext, table: ErrorTable) -> None:
    """Write them."""
    write_json(context.layout.errors, table)


def read_calibration(context: StudyContext) -> tuple[Scale, ...]:
    """Factors from the committee's standard deviation to error bars."""
    return tuple(decode(Scale, row) for row in read_json(context.layout.calibration))


def write_calibration(context: StudyContext, scales: Sequence[Scale]) -> None:
    """Write them."""
    write_json(context.layout.calibration, scales)
