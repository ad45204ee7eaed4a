"""``summary.json``, read and written."""

from defectscape.files.text import write_text
from defectscape.study.context import StudyContext
from defectscape.summary.schema import Summary


def read_summary(context: StudyContext) -> Summary:
    """The summary of a finished study."""
    return Summary.model_validate_json(context.layout.summary.read_text(encoding="utf-8"))


def write_summary(context: StudyContext, summary: Summary) -> None:
    """Write the summary."""
    write_text(context.layout.summary, summary.model_dump_json(indent=1) + "\n")
