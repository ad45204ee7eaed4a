"""Tables of levels, chemical potentials, concentrations, configuration coordinates and capture."""

from defectscape.domain.keys import format_charge
from defectscape.report.names import open_charges, open_keys
from defectscape.report.tables.table import Cell, Column, Table, milli
from defectscape.summary.schema import Summary


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
            Column("Open charge states", strong=bool, optional=True),
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
                open_charges(summary, row),
            )
            for row in summary.levels
        ),
    )


def binding(summary: Summary) -> Table:
    """Binding energies of pairs; the reason where there is none."""
    return Table(
        "binding",
        "Binding energies of pairs: the pair's formation energy less those of its partners apart.",
        (
            Column("Pair"),
            Column("Charge", "e", charge=True),
            Column("Partners' distance", "Å", 2),
            Column("Orientations around the first", digits=0),
            Column("Pairs per primitive cell", digits=0),
            Column("Binding energy, negative: bound", "eV", 3),
            Column("Standard uncertainty", "eV", 3, bar=True),
            Column("Partners apart"),
            Column("Verified"),
            Column("Open ground states", strong=bool, optional=True),
            Column("Why there is none", optional=True),
        ),
        tuple(
            (
                row.defect,
                row.charge,
                row.distance_A,
                row.orientations,
                row.multiplicity,
                row.energy_eV,
                row.uncertainty_eV,
                " + ".join(row.partners),
                row.verified if row.energy_eV is not None else None,
                ", ".join(open_keys(summary, [f"{row.defect}_{format_charge(row.charge)}", *row.partners])),
                row.reason,
            )
            for row in summary.binding
        ),
    )


def spins(summary: Summary) -> Table:
    """Ground states at another spin multiplicity."""
    return Table(
        "spins",
        "Ground states at another spin multiplicity, at the same geometry, by the engine.",
        (
            Column("Defect"),
            Column("Charge", "e", charge=True),
            Column("Multiplicity", digits=0),
            Column("Other multiplicity", digits=0),
            Column("Why it is plausible"),
            Column("Other above ground state", "meV", 1),
            Column("Other is lower", strong=lambda cell: cell is True),
            Column("Levels that rest on it"),
            Column("Why there is none", optional=True),
        ),
        tuple(
            (
                row.defect,
                row.charge,
                row.multiplicity,
                row.other_multiplicity,
                row.reason,
                milli(row.difference_eV),
                row.lower if row.difference_eV is not None else None,
                ", ".join(row.levels),
                row.failure,
            )
            for row in summary.spins
        ),
    )


def chemical_potentials(summary: Summary) -> Table:
    """Chemical potentials of each limit relative to the elements' references."""
    elements = tuple(dict.fromkeys(name for row in summary.chemical_potentials_eV.values() for name in row))
    return Table(
        "chemical_potentials",
        "Chemical potentials relative to the elements' reference phases.",
        (Column("Limit"), *(Column(f"Δμ {name}", "eV", 3, term="Δμ") for name in elements)),
        tuple((limit, *(row.get(name) for name in elements)) for limit, row in summary.chemical_potentials_eV.items()),
    )


def equilibria(summary: Summary) -> Table:
    """Fermi level and carriers of every limit and annealing temperature."""
    return Table(
        "equilibria",
        "Self-consistent Fermi level and carriers.",
        (
            Column("Limit"),
            Column("Annealed at", "K", 0),
            Column("Fermi level there", "eV", 3),
            Column("± there", "eV", 3, bar=True),
            Column("Quenched to", "K", 0),
            Column("Fermi level", "eV", 3),
            Column("±", "eV", 3, bar=True),
            Column("Electrons", "cm⁻³", 1, scientific=True),
            Column("Holes", "cm⁻³", 1, scientific=True),
        ),
        tuple(
            (
                row.limit,
                row.annealing_K,
                row.annealing_fermi_eV,
                row.annealing_fermi_std_eV,
                row.operating_K,
                row.operating_fermi_eV,
                row.operating_fermi_std_eV,
                row.electrons_cm3,
                row.holes_cm3,
            )
            for row in summary.equilibria
        ),
    )


def concentrations(summary: Summary) -> Table:
    """Concentration of every charge state."""
    return Table(
        "concentrations",
        "Concentrations of charge states.",
        (
            Column("Limit"),
            Column("Annealed at", "K", 0),
            Column("Defect"),
            Column("Charge", "e", charge=True),
            Column("While annealed", "cm⁻³", 1, scientific=True),
            Column("After quenching", "cm⁻³", 1, scientific=True),
            Column("Standard deviation of its log₁₀", "", 2),
        ),
        tuple(
            (
                row.limit,
                row.annealing_K,
                state.defect,
                state.charge,
                state.annealing_cm3,
                state.operating_cm3,
                state.operating_std_log10,
            )
            for row in summary.equilibria
            for state in row.states
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
            Column("ħω initial", "meV", 1, term="ħω"),
            Column("ħω final", "meV", 1, term="ħω"),
            Column("Lowest spacing, initial", "meV", 1),
            Column("Lowest spacing, final", "meV", 1),
            Column("S initial", digits=1, term="S"),
            Column("S final", digits=1, term="S"),
            Column("Harmonic, initial", strong=lambda cell: cell is False),
            Column("Harmonic, final", strong=lambda cell: cell is False),
            Column("Energies from"),
            Column("Engine points", digits=0),
            Column("Model against engine there, RMS", "meV", 1, optional=True),
            Column("Moved curve against points left out", "meV", 1, optional=True),
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


def capture(summary: Summary) -> Table:
    """Coefficients of every capture and temperature; one row with the reason where there are none."""
    rows: list[tuple[Cell, ...]] = []
    for row in summary.capture:
        what = (
            row.defect,
            row.initial_charge,
            row.final_charge,
            row.carrier,
            row.released_eV,
            row.released_std_eV,
            row.coupling_eV_amu05_A,
        )
        rows += [
            (
                *what,
                at.temperature_K,
                at.coefficient_cm3_s,
                at.low_cm3_s,
                at.high_cm3_s,
                at.coulomb_factor,
                "",
            )
            for at in row.temperatures
        ]
        if not row.temperatures:
            rows.append((*what, None, None, None, None, None, row.reason))
    return Table(
        "capture",
        "Capture of carriers by multiphonon emission.",
        (
            Column("Defect"),
            Column("Before", "e", charge=True),
            Column("After", "e", charge=True),
            Column("Carrier"),
            Column("Energy released", "eV", 3),
            Column("±", "eV", 3, bar=True),
            Column("Matrix element, given", "eV/(√amu Å)", 4),
            Column("Temperature", "K", 0),
            Column("Coefficient", "cm³/s", 1, scientific=True),
            Column("From", "cm³/s", 1, scientific=True),
            Column("To", "cm³/s", 1, scientific=True),
            Column("Coulomb factor in it", "", 2, optional=True),
            Column("Why there is none", optional=True),
        ),
        tuple(rows),
    )
