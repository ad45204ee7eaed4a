"""Documents generated from the summary's classes."""

import json

from defectscape.summary.schema import Summary


def summary_schema() -> str:
    """The JSON schema of ``summary.json``, as text."""
    return json.dumps(Summary.model_json_schema(), indent=2, sort_keys=True) + "\n"


SUMMARY_DOCUMENTS = {"docs/summary.schema.json": summary_schema}
"""Generated files, relative to the repository, and what makes them."""
