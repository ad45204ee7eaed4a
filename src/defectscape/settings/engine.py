"""Engines and fidelities: which electronic structure computes which labels."""

from typing import Annotated, Literal

from pydantic import Field

from defectscape.settings.base import Settings


class TbliteEngine(Settings):
    """The embedded engine: extended tight binding from the tblite package, Gamma point only."""

    kind: Literal["tblite"] = Field(description="Which engine: `tblite`.")
    method: Literal["GFN1-xTB", "GFN2-xTB", "IPEA1-xTB"] = Field(
        description="The tight-binding Hamiltonian."
    )
    electronic_temperature_K: float = Field(
        300.0, gt=0, description="Electronic temperature of the Fermi smearing, K."
    )
    accuracy: float = Field(
        1.0,
        gt=0,
        le=10,
        description="tblite's accuracy factor for integrals and SCF; lower is tighter.",
    )
    max_iterations: int = Field(
        250, gt=0, description="SCF cycles before the calculation counts as failed."
    )


EngineSettings = Annotated[TbliteEngine, Field(description="The engine and its settings.")]


class Fidelity(Settings):
    """A level of theory: a name, which is also the model head's name, and its engine."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Name of the level; the model's head and the report use it.",
    )
    engine: EngineSettings
    max_force_eV_A: float = Field(
        30.0,
        gt=0,
        description="Labels with a larger force on an atom are kept but not trained on, eV/A.",
    )


class Fidelities(Settings):
    """The cheap, dense level and the expensive, sparse one."""

    low: Fidelity = Field(description="Cheap level: labels the whole pool.")
    high: Fidelity = Field(description="Expensive level: labels the selection, and decides.")
