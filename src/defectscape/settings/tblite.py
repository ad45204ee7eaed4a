"""Settings of the embedded tight-binding engine."""

from typing import Literal

from pydantic import Field

from defectscape.settings.base import Settings

HEAVIEST = 86
"""Atomic number of the last element with parameters (radon), in all three Hamiltonians."""


class TbliteSettings(Settings):
    """The embedded engine: extended tight binding from the tblite package, Gamma point only."""

    kind: Literal["tblite"] = Field(description="`tblite`: the embedded tight-binding engine.")
    method: Literal["GFN1-xTB", "GFN2-xTB", "IPEA1-xTB"] = Field(description="The tight-binding Hamiltonian.")
    electronic_temperature_K: float = Field(300.0, gt=0, description="Electronic temperature of the Fermi smearing, K.")
    accuracy: float = Field(
        1.0,
        gt=0,
        le=10,
        description="tblite's accuracy factor for integrals and SCF; lower is tighter.",
    )
    max_iterations: int = Field(250, gt=0, description="SCF cycles before the calculation counts as failed.")
