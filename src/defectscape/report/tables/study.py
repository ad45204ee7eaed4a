"""All tables of a study, for the page and as CSV files."""

from pathlib import Path

from defectscape.report.tables import cost, model, structures, thermodynamics
from defectscape.report.tables.table import Table, write_table
from defectscape.summary.schema import Summary

TABLES = (
    structures.ground_states,
    structures.minima,
    structures.search,
    thermodynamics.levels,
    thermodynamics.binding,
    thermodynamics.spins,
    thermodynamics.chemical_potentials,
    thermodynamics.equilibria,
    thermodynamics.concentrations,
    thermodynamics.ccd,
    thermodynamics.capture,
    model.errors,
    model.fidelity_differences,
    model.calibration,
    model.level_tests,
    model.gates,
    model.training,
    model.verification,
    cost.failures,
    cost.cost,
    cost.jobs,
)


def all_tables(summary: Summary) -> dict[str, Table]:
    """Every table of the report by name, which is also its file's name."""
    tables = [make(summary) for make in TABLES]
    return {table.name: table for table in tables}


def write_tables(summary: Summary, folder: Path) -> tuple[Path, ...]:
    """Write every table as ``<folder>/<name>.csv``, units in the headings; returns the files."""
    return tuple(write_table(table, folder) for table in all_tables(summary).values())
