"""``summary.json``, read and written, and its JSON schema as a document."""

import json

from defectscape.files.text import write_text
from defectscape.study.context import StudyContext
from defectscape.summary.schema import Summary


def read_summary(context: StudyContext) -> Summary:
    """The summary of a finished study."""
    return Summary.model_validate_json(context.layout.summary.read_text(encoding="utf-8"))


def write_summary(context: StudyContext, summary: Summary) -> None:
    """Write the summary."""
    whole = None if summary.unfinished else {"unfinished"}
    write_text(context.layout.summary, summary.model_dump_json(indent=1, exclude=whole) + "\n")


def summary_schema() -> str:
    """The JSON schema of ``summary.json``, as text."""
    return json.dumps(Summary.model_json_schema(), indent=2, sort_keys=True) + "\n"


SUMMARY_DOCUMENTS = {"docs/summary.schema.json": summary_schema}
"""Generated files, relative to the repository, and what makes them."""
