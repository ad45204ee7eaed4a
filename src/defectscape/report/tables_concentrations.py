"""Tables of concentrations: Fermi levels and carriers, charge states."""

from defectscape.report.table import Column, Table
from defectscape.summary.schema import Summary


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
                row.limit, row.annealing_K, row.annealing_fermi_eV, row.annealing_fermi_std_eV,
                row.operating_K, row.operating_fermi_eV, row.operating_fermi_std_eV,
                row.electrons_cm3, row.holes_cm3,
            )
            for row in summary.equilibria
        ),
    )  # fmt: skip


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
                row.limit, row.annealing_K, state.defect, state.charge, state.annealing_cm3,
                state.operating_cm3, state.operating_std_log10,
            )
            for row in summary.equilibria
            for state in row.states
        ),
    )  # fmt: skip
