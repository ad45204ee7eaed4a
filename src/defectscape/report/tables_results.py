"""Tables of what was found: ground states, levels, minima, relaxations, coordinates, limits."""

from defectscape.report.figures_data import limits
from defectscape.report.table import Cell, Column, Table
from defectscape.report.tables_capture import capture
from defectscape.report.tables_concentrations import concentrations, equilibria
from defectscape.summary.schema import DefectSummary, Summary

GAIN_LIMIT_MEV = 20.0
"""Gains over the unperturbed relaxation above this are emphasised, meV."""


def milli(value: float | None) -> float | None:
    """eV to meV; none stays none."""
    return None if value is None else 1e3 * value


def result_tables(summary: Summary) -> dict[str, Table]:
    """All tables of results by name."""
    tables = (
        ground_states(summary),
        levels(summary),
        minima(summary),
        search(summary),
        ccd(summary),
        capture(summary),
        chemical_potentials(summary),
        equilibria(summary),
        concentrations(summary),
    )
    return {table.name: table for table in tables}


def ground_states(summary: Summary) -> Table:
    """One row per defect and charge state: the answer."""
    names = limits(summary)
    columns = (
        Column("Defect"),
        Column("Charge", "e", charge=True),
        Column("Distortion"),
        Column("Point group"),
        *(Column(f"E_form at VBM, {name}", "eV", 3) for name in names),
        Column("Standard uncertainty", "eV", 3, bar=True),
        Column("Verified", strong=lambda cell: cell is False),
        Column("Certain", strong=lambda cell: cell is False),
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
        row.distortion,
        row.point_group,
        *(row.formation_energy_eV.get(name) for name in names),
        row.uncertainty_eV,
        row.verified,
        row.certain,
        ground.engine_fmax_eV_A if ground else None,
        milli(row.model_error_eV),
        gain,
        origin,
        row.distinct_minima,
        row.geometry_file,
    )


def levels(summary: Summary) -> Table:
    """Charge-transition levels, with whether they are stable and in the gap."""
    return Table(
        "levels",
        "Charge-transition levels above the valence band maximum.",
        (
            Column("Defect"),
            Column("Upper charge", "e", charge=True),
            Column("Lower charge", "e", charge=True),
            Column("Level above VBM", "eV", 3),
            Column("Standard uncertainty", "eV", 3, bar=True),
            Column("Stable"),
            Column("In gap"),
        ),
        tuple(
            (
                row.defect,
                row.upper_charge,
                row.lower_charge,
                row.level_eV,
                row.uncertainty_eV,
                row.stable,
                row.in_gap,
            )
            for row in summary.levels
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
    return Table(
        f"minima_{defect}", f"Distinct minima of {defect}.", tuple(columns[1:]), tuple(rows)
    )


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
            Column("Doubtful", strong=lambda cell: cell is True),
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
        tuple(
            (row.key, row.start, row.energy_above_lowest_eV, row.converged, row.reason)
            for row in summary.search
        ),
    )


def ccd(summary: Summary) -> Table:
    """Numbers of the configuration-coordinate diagrams."""
    return Table(
        "ccd",
        "Configuration-coordinate diagrams.",
        (
            Column("Defect"),
            Column("Initial charge", "e", charge=True),
            Column("Final charge", "e", charge=True),
            Column("ΔQ", "√amu Å", 2),
            Column("Level above VBM", "eV", 3),
            Column("Relaxation energy, initial", "eV", 3),
            Column("Relaxation energy, final", "eV", 3),
            Column("ħω initial", "meV", 1),
            Column("ħω final", "meV", 1),
            Column("Lowest spacing, initial", "meV", 1),
            Column("Lowest spacing, final", "meV", 1),
            Column("S initial", digits=1),
            Column("S final", digits=1),
            Column("Harmonic, initial", strong=lambda cell: cell is False),
            Column("Harmonic, final", strong=lambda cell: cell is False),
            Column("Energies from"),
            Column("Engine points", digits=0),
            Column("Model against engine there, RMS", "meV", 1),
            Column("Moved curve against points left out", "meV", 1),
        ),
        tuple(
            (
                row.defect,
                row.initial_charge,
                row.final_charge,
                row.dQ_amu05_A,
                row.level_eV,
                row.relaxation_initial_eV,
                row.relaxation_final_eV,
                milli(row.phonon_initial_eV),
                milli(row.phonon_final_eV),
                milli(row.quantum_initial_eV),
                milli(row.quantum_final_eV),
                row.huang_rhys_initial,
                row.huang_rhys_final,
                row.harmonic_initial,
                row.harmonic_final,
                row.source,
                len(row.initial_checks) + len(row.final_checks),
                milli(row.engine_rms_eV),
                milli(row.left_out_rms_eV),
            )
            for row in summary.ccd
        ),
    )


def chemical_potentials(summary: Summary) -> Table:
    """Chemical potentials of each limit relative to the elements' references."""
    elements = tuple(
        dict.fromkeys(name for row in summary.chemical_potentials_eV.values() for name in row)
    )
    return Table(
        "chemical_potentials",
        "Chemical potentials relative to the elements' reference phases.",
        (Column("Limit"), *(Column(f"Δμ {name}", "eV", 3) for name in elements)),
        tuple(
            (limit, *(row.get(name) for name in elements))
            for limit, row in summary.chemical_potentials_eV.items()
        ),
    )
