"""Summary stage: one machine-readable file from all results, and the structures of all minima."""

from defectscape.study.context import StudyContext
from defectscape.summary.assemble import make_summary
from defectscape.summary.file import write_summary
from defectscape.summary.minima import write_structures
from defectscape.summary.searched import read_searches


def summarise(context: StudyContext) -> None:
    """Write ``summary.json`` and the structures of all minima."""
    groups = read_searches(context)
    write_structures(context, groups)
    write_summary(context, make_summary(context, groups))
