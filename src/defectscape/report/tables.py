"""All tables of a study, for the page and as CSV files."""

from pathlib import Path

from defectscape.report.table import Table, write_table
from defectscape.report.tables_results import result_tables
from defectscape.report.tables_trust import trust_tables
from defectscape.summary.schema import Summary


def all_tables(summary: Summary) -> dict[str, Table]:
    """Every table of the report by name, which is also its file's name."""
    return {**result_tables(summary), **trust_tables(summary)}


def write_tables(summary: Summary, folder: Path) -> tuple[Path, ...]:
    """Write every table as ``<folder>/<name>.csv``, units in the headings; returns the files."""
    return tuple(write_table(table, folder) for table in all_tables(summary).values())
