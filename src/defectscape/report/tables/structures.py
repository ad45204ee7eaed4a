"""Tables of the structures found: ground states, minima, relaxations."""

from defectscape.report.names import OPEN, limit_names
from defectscape.report.tables.table import Cell, Column, Table, milli
from defectscape.summary.schema import DefectSummary, Summary

GAIN_LIMIT_MEV = 20.0
"""Gains over the unperturbed relaxation above this are emphasised, meV."""


def ground_states(summary: Summary) -> Table:
    """One row per defect and charge state: the answer."""
    names = limit_names(summary)
    columns = (
        Column("Defect"),
        Column("Charge", "e", charge=True),
        Column("Multiplicity", digits=0),
        *(Column(f"E_form at VBM, {name}", "eV", 3) for name in names),
        Column("Standard uncertainty", "eV", 3, bar=True),
        Column("Status", strong=lambda cell: cell == OPEN),
        Column("Found", brief=36),
        Column("Distortion", brief=40),
        Column("Point group"),
        Column("Engine fmax", "eV/Å", 3),
        Column("Model error", "meV", 1),
        Column("Gain over unperturbed", "meV", 1, strong=_large_gain),
        Column("Gain from"),
        Column("Minima", digits=0),
        Column("Geometry", download=True),
    )
    return Table(
        "ground_states",
        "Ground state of every defect and charge state.",
        columns,
        tuple(_ground_state(row, names) for row in summary.defects),
    )


def _large_gain(cell: Cell) -> bool:
    return isinstance(cell, float) and cell > GAIN_LIMIT_MEV


def _ground_state(row: DefectSummary, names: tuple[str, ...]) -> tuple[Cell, ...]:
    ground = row.ground
    gain = milli(row.gain_over_unperturbed_eV)
    origin = None if gain is None else ("engine" if row.gain_verified else "model")
    return (
        row.defect,
        row.charge,
        row.multiplicity,
        *(row.formation_energy_eV.get(name) for name in names),
        row.uncertainty_eV,
        row.trust,
        _found(row),
        row.distortion,
        row.point_group,
        ground.engine_fmax_eV_A if ground else None,
        milli(row.model_error_eV),
        gain,
        origin,
        row.distinct_minima,
        row.geometry_file,
    )


def _found(row: DefectSummary) -> str | None:
    """What is there, by name, and where else; nothing in older summaries."""
    if row.found is None:
        return None
    return f"{row.found.name}; same as {', '.join(row.found.same_as)}" if row.found.same_as else row.found.name


def minima(summary: Summary) -> Table:
    """Distinct minima of all defects."""
    return Table(
        "minima",
        "Distinct minima, lowest by the model first.",
        (
            Column("Defect"),
            Column("Charge", "e", charge=True),
            Column("Rank", digits=0),
            Column("Ground state", strong=lambda cell: cell is True),
            Column("Above lowest, model", "eV", 3),
            Column("Committee std", "eV", 3),
            Column("Calibrated bar", "eV", 3, bar=True),
            Column("Doubtful", strong=lambda cell: cell is True, optional=True),
            Column("Above ground state, engine", "eV", 3),
            Column("Model error", "meV", 1),
            Column("Engine fmax", "eV/Å", 3),
            Column("Engine steps", digits=0),
            Column("Point group"),
            Column("Orientations", digits=0),
            Column("Distortion"),
            Column("From unperturbed"),
            Column("Found from"),
            Column("Geometry", download=True),
        ),
        tuple(
            (
                row.defect,
                row.charge,
                entry.rank,
                entry.rank == row.ground_state_rank,
                entry.energy_above_lowest_eV,
                entry.committee_std_eV,
                entry.committee_bar_eV,
                entry.doubtful,
                entry.verified_above_lowest_eV,
                milli(entry.model_error_eV),
                entry.engine_fmax_eV_A,
                entry.relax_steps,
                entry.point_group,
                entry.orientations,
                entry.distortion,
                entry.from_unperturbed,
                "; ".join(entry.found_from),
                entry.geometry_file,
            )
            for row in summary.defects
            for entry in row.minima
        ),
    )


def minima_of(summary: Summary, defect: str) -> Table:
    """Minima of one defect for the page: without its name, starts counted instead of listed."""
    table = minima(summary)
    starts = [column.label for column in table.columns].index("Found from")
    columns = list(table.columns)
    columns[starts] = Column("Starts that led here", digits=0)
    counts = [len(entry.found_from) for row in summary.defects for entry in row.minima]
    rows = [
        (*row[1:starts], count, *row[starts + 1 :])
        for row, count in zip(table.rows, counts, strict=True)
        if row[0] == defect
    ]
    return Table(f"minima_{defect}", f"Distinct minima of {defect}.", tuple(columns[1:]), tuple(rows))


def search(summary: Summary) -> Table:
    """Every relaxation of the final search, failures included."""
    return Table(
        "search",
        "Relaxations of the final search.",
        (
            Column("Defect key"),
            Column("Start"),
            Column("Above lowest, model", "eV", 3),
            Column("Converged", strong=lambda cell: cell is False),
            Column("Reason"),
        ),
        tuple((row.key, row.start, row.energy_above_lowest_eV, row.converged, row.reason) for row in summary.search),
    )
