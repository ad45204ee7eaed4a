"""What was measured on the final committee: errors and calibration."""

from defectscape.files.tables import decode, read_json
from defectscape.model.calibration import Scale
from defectscape.study.context import StudyContext


def read_calibration(context: StudyContext) -> tuple[Scale, ...]:
    """What ``evaluate_final`` wrote."""
    return tuple(decode(Scale, row) for row in read_json(context.layout.calibration))
