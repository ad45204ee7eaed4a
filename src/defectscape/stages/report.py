"""Report stage: the page, its figures and its tables, from the summary alone."""

from defectscape.report.figures.study import study_figures, write_figures
from defectscape.report.page import read_geometries, write_report
from defectscape.report.tables.study import write_tables
from defectscape.study.context import StudyContext
from defectscape.summary.file import read_summary


def write_page(context: StudyContext) -> None:
    """Render the report of a finished study."""
    layout = context.layout
    summary = read_summary(context)
    figures = study_figures(summary)
    write_report(summary, figures, layout.report, read_geometries(summary, layout.together))
    write_figures(figures, layout.figures)
    write_tables(summary, layout.tables)
