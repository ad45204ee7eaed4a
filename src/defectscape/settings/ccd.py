"""Configuration-coordinate diagrams."""

from typing import Literal

from pydantic import Field, model_validator

from defectscape.settings.base import Charge, DefectName, Settings


class ChargePair(Settings):
    """Two adjacent charge states of one defect."""

    defect: DefectName = Field(description="The defect, as it is named under `defects`.")
    initial: Charge = Field(description="Charge state before the transition.")
    final: Charge = Field(description="Charge state after it.")

    @model_validator(mode="after")
    def _one_electron_apart(self) -> "ChargePair":
        if abs(self.initial - self.final) != 1:
            raise ValueError(f"{self.defect}: {self.initial:+d} and {self.final:+d} are not one electron apart")
        return self


class Coulomb(Settings):
    """Carriers near a charged defect."""

    mass: float = Field(gt=0, description="Effective mass of the carrier, electron masses.")
    dielectric_constant: float = Field(ge=1, description="Static dielectric constant of the host, ions included.")


class Capture(ChargePair):
    """Capture of a carrier by multiphonon emission: an electron where the charge falls, a hole where it rises."""

    coupling_eV_amu05_A: float = Field(
        gt=0,
        description="Electron-phonon matrix element, eV/(amu^(1/2) A), from a calculation of your own.",
    )
    coupling_at: Literal["initial", "final"] = Field(
        description="The ground state at whose geometry the matrix element was computed. Coefficients can differ "
        "tenfold between the two."
    )
    volume_A3: float = Field(gt=0, description="Volume of the supercell that the matrix element belongs to, A^3.")
    degeneracy: int = Field(ge=1, description="Number of equivalent final states.")
    temperatures_K: list[float] = Field(min_length=1, description="Temperatures, K.")
    coulomb: Coulomb | None = Field(
        None,
        description="For a charged defect, how much it draws carriers near or keeps them away. Left out, the "
        "coefficient is that of a carrier which is spread out evenly.",
    )

    @model_validator(mode="after")
    def _temperatures_are_absolute(self) -> "Capture":
        if min(self.temperatures_K) <= 0:
            raise ValueError(f"temperatures_K: {min(self.temperatures_K):g} K; give temperatures above 0 K")
        return self


class CcdSettings(Settings):
    """Configuration-coordinate diagrams between adjacent charge states."""

    points: int = Field(9, ge=3, description="Points along each path.")
    extend: float = Field(
        0.4,
        ge=0,
        description="How far beyond either end the path runs, as a fraction of its length.",
    )
    pairs: list[ChargePair] | None = Field(
        None,
        description="Which transitions are drawn: `{defect: v_Cd, initial: '0', final: '-1'}`. Left out, all between "
        "adjacent charge states, from high to low charge.",
    )
    engine_points: int = Field(
        0,
        ge=0,
        description="Number of points of each curve that the high-fidelity engine computes besides, to test the "
        "model, one label each. The two ground states come first, then the middle, then the ends.",
    )

    capture: list[Capture] = Field(
        [],
        description="Captures of carriers whose coefficients are computed from the diagrams: `{defect: v_Cd, initial: "
        "'-1', final: '-2', ...}`.",
    )

    @model_validator(mode="after")
    def _a_check_needs_a_zero(self) -> "CcdSettings":
        if self.engine_points == 1:
            raise ValueError("engine_points: one point is the zero of its curve; give two at least")
        if self.engine_points > self.points:
            raise ValueError(f"engine_points: {self.engine_points} of {self.points} points")
        return self
