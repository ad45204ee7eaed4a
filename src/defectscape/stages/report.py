"""Report stage: the page, its figures and its tables, from the summary alone."""

from defectscape.report.figures_static import write_figures
from defectscape.report.page import read_geometries, write_report
from defectscape.report.tables import write_tables
from defectscape.study.context import StudyContext
from defectscape.summary.file import read_summary


def write_page(context: StudyContext) -> None:
    """Render the report of a finished study."""
    summary = read_summary(context)
    write_report(summary, context.layout.report, read_geometries(summary, context.layout.folder))
    write_figures(summary, context.layout.figures)
    write_tables(summary, context.layout.tables)
