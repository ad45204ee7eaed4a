"""Thermodynamics: chemical potentials, corrections, diagrams."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

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

    @model_validator(mode="after")
    def _is_a_dielectric(self) -> "PointChargeCorrection":
        tensor = self.dielectric
        if [len(row) for row in tensor] != [3, 3, 3]:
            raise ValueError("dielectric must have three rows of three numbers")
        if any(abs(tensor[i][j] - tensor[j][i]) > 1e-6 for i in range(3) for j in range(3)):
            raise ValueError("dielectric must be symmetric")
        if min(tensor[i][i] for i in range(3)) < 1:
            raise ValueError("dielectric constants are at least 1")
        return self


Correction = Annotated[NoCorrection | PointChargeCorrection, Field(discriminator="kind")]


class Thermo(Settings):
    """Formation energies and transition levels."""

    elemental_references: dict[str, FilePath] = Field(
        description="Structure file of each element's reference phase, computed with the high-fidelity engine."
    )
    elemental_kpoints: dict[str, list[int]] = Field(
        {},
        description="Gamma-centred mesh of an element's reference, for engines with `kpoints`; left out, the "
        "engine's own. Choose it as dense as the supercell's: small cells at Gamma are off by eV.",
    )
    correction: Correction = Field(description="Finite-size correction of charged supercells.")

    @model_validator(mode="after")
    def _meshes_are_of_references(self) -> "Thermo":
        for element, mesh in self.elemental_kpoints.items():
            if element not in self.elemental_references:
                raise ValueError(f"elemental_kpoints: {element} has no elemental reference")
            if len(mesh) != 3 or min(mesh) < 1:
                raise ValueError(f"elemental_kpoints of {element}: give three positive integers")
        return self


class Ccd(Settings):
    """Configuration-coordinate diagrams between adjacent charge states."""

    points: int = Field(9, ge=3, description="Points along each path.")
    extend: float = Field(
        0.4,
        ge=0,
        description="How far beyond either end the path runs, as a fraction of its length.",
    )
