"""Table of the capture of carriers."""

from defectscape.report.table import Cell, Column, Table
from defectscape.summary.schema import Summary


def capture(summary: Summary) -> Table:
    """Coefficients of every capture and temperature; one row with the reason where there are none."""
    rows: list[tuple[Cell, ...]] = []
    for row in summary.capture:
        what = (
            row.defect, row.initial_charge, row.final_charge, row.carrier, row.released_eV,
            row.released_std_eV, row.coupling_eV_amu05_A,
        )  # fmt: skip
        rows += [
            (
                *what, at.temperature_K, at.coefficient_cm3_s, at.low_cm3_s, at.high_cm3_s,
                at.coulomb_factor, "",
            )
            for at in row.temperatures
        ]  # fmt: skip
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
            Column("Coulomb factor in it", "", 2),
            Column("Why there is none"),
        ),
        tuple(rows),
    )
