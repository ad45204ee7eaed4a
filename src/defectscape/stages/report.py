"""Report stage: the page, its figures and its tables, from the summary alone."""

from defectscape.report.figures_static import write_figures
from defectscape.report.page import read_geometries, write_report
from defectscape.report.tables import write_tables
from defectscape.study.context import StudyContext
from defectscape.summary.schema import Summary


def write_page(context: StudyContext) -> None:
    """Render the report of a finished study."""
    text = context.layout.summary.read_text(encoding="utf-8")
    summary = Summary.model_validate_json(text)
    write_report(summary, context.layout.report, read_geometries(summary, context.layout.folder))
    write_figures(summary, context.layout.figures)
    write_tables(summary, context.layout.tables)
