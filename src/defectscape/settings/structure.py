"""Host and defects: what the study is about."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from defectscape.domain.keys import format_charge
from defectscape.settings.base import Charge, DefectName, FilePath, Settings

Multiplicity = Annotated[int, Field(ge=1)]

Matrix = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]


class SupercellSettings(Settings):
    """The supercell that all defects of the study share."""

    matrix: list[list[int]] | None = Field(
        None,
        description="Rows are supercell vectors in units of the host file's vectors; "
        "left out, doped finds the smallest near-cubic cell that satisfies the distance below.",
    )
    min_image_distance_A: float = Field(
        gt=0, description="Smallest allowed distance of a defect to its periodic image, A."
    )

    @model_validator(mode="after")
    def _three_by_three(self) -> "SupercellSettings":
        if self.matrix is not None and [len(row) for row in self.matrix] != [3, 3, 3]:
            raise ValueError("matrix must have three rows of three integers")
        return self


class HostSettings(Settings):
    """The perfect crystal."""

    file: FilePath = Field(description="Structure file of the host: POSCAR, CIF or anything pymatgen reads.")
    supercell: SupercellSettings = Field(description="The supercell.")
    multiplicity: int | None = Field(
        None,
        ge=1,
        description="Spin multiplicity of the supercell. Left out, all electrons are paired, which is refused where an "
        "ion of the host, or an atom that a defect adds, has an open d or f shell (NiO, Ti2O3). 1 states "
        "that they are paired there, too (low spin). More: a ferromagnet, one more than its unpaired electrons, all "
        "parallel; then every charge state has `multiplicities`, too. Other magnetic order is not computed.",
    )
    relax: Literal["none", "positions", "volume", "cell"] = Field(
        description="Relaxation of the host with the high-fidelity engine before anything else: "
        "`none`, `positions` (cell kept), `volume` (shape kept, atoms free) or `cell` (symmetry kept). "
        "The relaxed crystal is written to `host/unitcell.vasp`; given as `file` with `none`, later "
        "changes of that engine leave the geometries, and so all low-fidelity labels, as they are."
    )
    taken_as_perfect: bool = Field(
        False,
        description="Take the file as the perfect crystal even if it looks like a supercell with a point defect, as "
        "ordered models of alloys do. The risk: if it is a defect, every formation energy is relative to a crystal "
        "that has it, and other sites are made from its surroundings.",
    )
    relax_fmax_eV_A: float = Field(0.02, gt=0, description="Convergence of that relaxation, eV/A.")
    relax_max_steps: int = Field(60, gt=0, description="Step limit of that relaxation.")

    @property
    def ferromagnet(self) -> int | None:
        """The multiplicity of a supercell whose moments are parallel; None where all electrons are paired."""
        return self.multiplicity if self.multiplicity is not None and self.multiplicity > 1 else None


class DefectSettings(Settings):
    """One defect and its charge states."""

    name: DefectName = Field(
        description="Vacancy `v_Cd`, antisite or substitution `Te_Cd`, interstitial `i_Cd`; with an index (`v_Sb_1`) "
        "where the host has inequivalent sites. An element that the host lacks is a dopant: `Cl_Te`, `i_Cu_1`. doped's "
        "names (`Cd_i_C3v`) are taken, too. `defectscape check` lists what the host has, and what tells sites apart.",
    )
    charges: list[Charge] = Field(
        min_length=1, description="Charge states explored together, signed and quoted: ['0', '-1']."
    )
    added_charges: list[Charge] = Field(
        [],
        description="Charge states added later: explored on top of the others, which stay as they are, "
        "so that nothing of theirs is computed again.",
    )

    multiplicities: dict[Charge, Multiplicity] = Field(
        {},
        description="Spin multiplicity, 2S + 1, of the charge states that are not to be computed with the lowest one: "
        "{'0': 3} is a triplet, from its starts on. Of a charge state there is one multiplicity.",
    )

    @model_validator(mode="after")
    def _spins_are_of_its_charges(self) -> "DefectSettings":
        others = [charge for charge in self.multiplicities if charge not in (*self.charges, *self.added_charges)]
        if others:
            raise ValueError(
                f"multiplicities of {self.name} name charge {format_charge(others[0])}, which is not computed; add it "
                "to charges, or take it out"
            )
        return self

    @model_validator(mode="after")
    def _each_charge_once(self) -> "DefectSettings":
        charges = [*self.charges, *self.added_charges]
        if len(set(charges)) != len(charges):
            raise ValueError(f"charge states of {self.name} are given twice")
        return self
