"""How the report writes charges, states, levels and pairs, and which limits and defects a study has."""

from collections.abc import Sequence

from defectscape.summary.schema import CcdSummary, LevelSummary, Summary

CERTAIN, OPEN = "certain", "open"
"""Words of a ground state's status that the page counts; what is neither is verified."""


def charge_text(charge: int) -> str:
    """A charge for reading: ``+1``, ``0``, ``−2`` (true minus sign)."""
    return f"{charge:+d}".replace("-", "−") if charge else "0"


def key_text(defect: str, charge: int) -> str:
    """A defect in a charge state for reading: ``v_Cd (−2)``."""
    return f"{defect} ({charge_text(charge)})"


def level_text(level: LevelSummary) -> str:
    """The charges a level separates, the more positive first: ``0/−1``."""
    return f"{charge_text(level.upper_charge)}/{charge_text(level.lower_charge)}"


def open_charges(summary: Summary, level: LevelSummary) -> str:
    """The charge states of a level whose ground states are open: ``0``, ``0, −1``; empty without any."""
    charges = (level.upper_charge, level.lower_charge)
    rows = {row.charge: row for row in summary.defects if row.defect == level.defect}
    return ", ".join(charge_text(c) for c in charges if c in rows and rows[c].trust == OPEN)


def open_keys(summary: Summary, keys: Sequence[str]) -> list[str]:
    """Those of the keys whose ground states are open."""
    trust = {row.key: row.trust for row in summary.defects}
    return [key for key in keys if trust.get(key) == OPEN]


def pair_text(ccd: CcdSummary) -> str:
    """Name of a pair of charge states: ``v_Cd: 0 to −1``."""
    return f"{ccd.defect}: {charge_text(ccd.initial_charge)} to {charge_text(ccd.final_charge)}"


def limit_names(summary: Summary) -> tuple[str, ...]:
    """Names of the chemical-potential limits, in the order of the summary."""
    names = dict.fromkeys(summary.chemical_potentials_eV)
    for row in summary.defects:
        names.update(dict.fromkeys(row.formation_energy_eV))
    return tuple(names)


def defect_names(summary: Summary) -> tuple[str, ...]:
    """Defect names in the order of the summary."""
    return tuple(dict.fromkeys(row.defect for row in summary.defects))
