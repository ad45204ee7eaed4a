"""Thermodynamics: chemical potentials, corrections, diagrams."""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from defectscape.settings.base import FilePath, Settings
from defectscape.settings.references import Reference


class NoCorrection(Settings):
    """No finite-size correction, because it was asked for."""

    kind: Literal["none"] = Field(description="`none`: no finite-size correction at all.")


ASYMMETRY = 1e-3
"""Calculations leave a tensor asymmetric by rounding and sampling: this fraction of its largest element at most."""


class DielectricSettings(Settings):
    """A host that screens."""

    dielectric: list[list[float]] = Field(
        description="Static dielectric tensor of the host, three rows of three numbers. If it is not quite "
        "symmetric, its symmetric part is taken."
    )

    @field_validator("dielectric", mode="before")
    @classmethod
    def _has_rows(cls, value: object) -> object:
        # A number or three of them are no tensor: whether the host is isotropic must be said.
        rows = value if isinstance(value, list) else []
        if [len(row) if isinstance(row, list) else 0 for row in rows] != [3, 3, 3]:
            raise ValueError("write three rows of three numbers: [[10.3, 0, 0], [0, 10.3, 0], [0, 0, 10.3]]")
        return value

    @model_validator(mode="after")
    def _is_a_dielectric(self) -> "DielectricSettings":
        if self.asymmetry > ASYMMETRY * max(abs(value) for row in self.dielectric for value in row):
            raise ValueError(
                f"dielectric must be symmetric: two elements that should be equal differ by {self.asymmetry:g}"
            )
        lowest = float(np.linalg.eigvalsh(self.tensor).min())
        if lowest < 1 - 1e-6:
            raise ValueError(
                f"dielectric has the principal value {lowest:g}, and a crystal's are 1 at least; "
                "check the elements outside the diagonal"
            )
        return self

    @property
    def asymmetry(self) -> float:
        """The largest difference of two elements that should be equal."""
        given = np.array(self.dielectric)
        return float(np.max(np.abs(given - given.T)))

    @property
    def tensor(self) -> npt.NDArray[np.float64]:
        """The symmetric part, shape (3, 3): what is computed with."""
        given = np.array(self.dielectric)
        symmetric: npt.NDArray[np.float64] = (given + given.T) / 2
        return symmetric


class PointChargeCorrection(DielectricSettings):
    """The periodic point-charge energy in the given dielectric, without potential alignment."""

    kind: Literal["point_charge"] = Field(
        description="`point_charge`: anisotropic Ewald energy of the charge, no alignment."
    )


class EfnvCorrection(DielectricSettings):
    """The point-charge energy with the alignment that the engine's potentials far from the defect give."""

    kind: Literal["efnv"] = Field(
        description="`efnv`: extended Freysoldt-Neugebauer-Van de Walle (Kumagai and Oba): point charge, and "
        "alignment of the potentials at the atoms far from the defect. For `espresso` and `vasp`. Each ground state "
        "and the host need one more calculation."
    )


Correction = Annotated[NoCorrection | PointChargeCorrection | EfnvCorrection, Field(discriminator="kind")]


class EffectiveMasses(Settings):
    """Parabolic band edges."""

    kind: Literal["effective_masses"] = Field(
        description="`effective_masses`: parabolic bands at the edges that the engine gives."
    )
    electron: float = Field(
        gt=0,
        description="Density-of-states mass of the conduction band, all its valleys together, electron masses.",
    )
    hole: float = Field(
        gt=0,
        description="Density-of-states mass of the valence band, all its bands together, electron masses.",
    )


class DensityOfStates(Settings):
    """A density of states computed with VASP."""

    kind: Literal["vasprun"] = Field(description="`vasprun`: density of states of the host from VASP.")
    file: FilePath = Field(
        description="vasprun.xml[.gz] of the host's density of states, by the high fidelity's functional and in the "
        "host's crystal. Its VBM is placed on the engine's. Its gap may differ by 0.1 eV; more is refused."
    )


HIGHEST_POTENTIAL_EV = 1e-3
"""An element above its own reference is not in equilibrium; so much is rounding."""

Bands = Annotated[EffectiveMasses | DensityOfStates, Field(discriminator="kind")]


class ConcentrationsSettings(Settings):
    """Defects in equilibrium at an annealing temperature, then frozen in."""

    bands: Bands = Field(description="The host's bands, which hold the carriers.")
    annealing_K: list[float] = Field(min_length=1, description="Temperatures at which the defects form, K.")
    operating_K: float = Field(300.0, gt=0, description="Temperature of use, to which they are quenched, K.")
    dopant_cm3: float = Field(
        0.0,
        description="Fixed charge of other dopants, cm^-3: donors positive, acceptors negative.",
    )

    @model_validator(mode="after")
    def _temperatures_are_absolute(self) -> "ConcentrationsSettings":
        if min(self.annealing_K) < self.operating_K:
            raise ValueError(f"annealing_K: {min(self.annealing_K):g} K is below operating_K, {self.operating_K:g} K")
        return self


class ThermoSettings(Settings):
    """Formation energies and transition levels."""

    elemental_references: dict[str, Reference] = Field(
        description="Reference phase of each element of the host and of the dopants, computed with the high-fidelity "
        "engine. Give its structure file, or a section with file, multiplicity, or energy_eV_per_atom and source."
    )
    elemental_kpoints: dict[str, list[int]] = Field(
        {},
        description="Gamma-centred mesh of an element's reference, for engines with `kpoints`. Left out, the "
        "engine's own. Choose it as dense as the supercell's: small cells at Gamma are off by eV.",
    )
    competing_phases: dict[str, Reference] = Field(
        {},
        description="Other compounds of the host's elements, and those with a dopant (`CdCl2` for Cl in CdTe), each "
        "by a name: its structure file, or a section as for the elements. The high-fidelity engine computes them. "
        "They bound the chemical potentials; those of dopants are at their solubility limits.",
    )
    competing_kpoints: dict[str, list[int]] = Field(
        {}, description="Gamma-centred mesh of a competing phase, as for the elements."
    )
    chemical_potentials: dict[str, dict[str, float]] | None = Field(
        None,
        description="Limits of your own. Each has a name and the potential of each element, dopants included, "
        "relative to its reference, eV, 0 at most. Those of the host's elements must sum to the host's formation "
        "energy within 10 meV per atom. Left out, they are computed.",
    )
    correction: Correction = Field(description="Finite-size correction of charged supercells.")
    concentrations: ConcentrationsSettings | None = Field(
        None, description="Concentrations and the self-consistent Fermi level; left out, none."
    )

    @field_validator("chemical_potentials", mode="before")
    @classmethod
    def _are_ours(cls, value: object) -> object:
        if isinstance(value, dict) and "elemental_refs" in value:
            raise ValueError("this is doped's dictionary; give what stands under its `limits_wrt_el_refs`")
        return value

    @model_validator(mode="after")
    def _meshes_are_of_references(self) -> "ThermoSettings":
        for name, meshes, owners in (
            ("elemental_kpoints", self.elemental_kpoints, self.elemental_references),
            ("competing_kpoints", self.competing_kpoints, self.competing_phases),
        ):
            for owner, mesh in meshes.items():
                if owner not in owners:
                    raise ValueError(f"{name}: {owner} has no structure")
                if owners[owner].energy_eV_per_atom is not None:
                    raise ValueError(f"{name}: {owner} is not computed, its energy is given; take the mesh out")
                if len(mesh) != 3 or min(mesh) < 1:
                    raise ValueError(f"{name} of {owner}: give three positive integers")
        return self

    @model_validator(mode="after")
    def _phases_have_files(self) -> "ThermoSettings":
        for name, phase in self.competing_phases.items():
            if phase.file is None:
                raise ValueError(f"competing_phases.{name}: give its file, too: it tells the composition")
        return self

    @model_validator(mode="after")
    def _limits_come_from_one_source(self) -> "ThermoSettings":
        if self.chemical_potentials is not None and self.competing_phases:
            raise ValueError("give competing_phases or chemical_potentials, not both")
        if self.chemical_potentials == {}:
            raise ValueError("chemical_potentials: give one limit at least, or leave it out")
        return self

    @model_validator(mode="after")
    def _limits_are_possible(self) -> "ThermoSettings":
        for name, potentials in (self.chemical_potentials or {}).items():
            strangers = sorted(set(potentials) - set(self.elemental_references))
            if strangers:
                raise ValueError(
                    f"chemical_potentials of {name}: {', '.join(strangers)} has no elemental reference; give one value "
                    f"for each of {', '.join(self.elemental_references)}"
                )
            for element, value_eV in potentials.items():
                if value_eV > HIGHEST_POTENTIAL_EV:
                    raise ValueError(
                        f"chemical_potentials of {name}: {element} is {value_eV:g} eV above its reference, which would "
                        "form instead; give values relative to the references, 0 at most"
                    )
        return self
