"""Thermodynamics: chemical potentials, corrections, diagrams."""

from typing import Annotated, Literal

from pydantic import Field

from defectscape.settings.base import FilePath, Settings


class NoCorrection(Settings):
    """No finite-size correction, because it was asked for."""

    kind: Literal["none"] = Field(description="`none`: no finite-size correction at all.")


class PointChargeCorrection(Settings):
    """The periodic point-charge energy in the given dielectric, without potential alignment."""

    kind: Literal["point_charge"] = Field(
        description="`point_charge`: anisotropic Ewald energy of the charge, no alignment."
    )
    dielectric: list[list[float]] = Field(
        description="Static dielectric tensor of the host, three rows of three numbers."
    )


Correction = Annotated[NoCorrection | PointChargeCorrection, Field(discriminator="kind")]


class Thermo(Settings):
    """Formation energies and transition levels."""

    elemental_references: dict[str, FilePath] = Field(
        description="Structure file of each element's reference phase, computed with the high-fidelity engine."
    )
    correction: Correction = Field(description="Finite-size correction of charged supercells.")


class Ccd(Settings):
    """Configuration-coordinate diagrams between adjacent charge states."""

    points: int = Field(9, ge=3, description="Points along each path.")
    extend: float = Field(
        0.4,
        ge=0,
        description="How far beyond either end the path runs, as a fraction of its length.",
    )
