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
        description="Supercell vectors, one a row, in units of the host file's vectors. Left out, doped finds the "
        "smallest near-cubic cell that satisfies the distance below.",
    )
    min_image_distance_A: float = Field(
        gt=0, description="Smallest allowed distance of a defect to its periodic image, A."
    )

    @model_validator(mode="after")
    def _three_by_three(self) -> "SupercellSettings":
        if self.matrix is not None and [len(row) for row in self.matrix] != [3, 3, 3]:
            raise ValueError("matrix must have three rows of three integers")
        return self


class StabilitySettings(Settings):
    """The test of the perfect supercell: distorted, does it come back?"""

    starts: int = Field(
        3,
        gt=0,
        description="Distortions of the perfect supercell that the low-fidelity engine relaxes: a rattle, and bonds of "
        "one atom of each element shortened as around a defect, in turn; then longer bonds, and other rattles.",
    )
    steps: int = Field(
        20,
        gt=0,
        description="Steps of each of these relaxations at most, one label each. Where the curvature below is known, "
        "they end as soon as they have come back to the crystal.",
    )
    fmax_eV_A: float = Field(0.05, gt=0, description="Such a relaxation ends below this force, eV/A.")
    curvature_labels: int = Field(
        6,
        ge=0,
        description="Also have the high-fidelity engine measure the curvature of the energy along all displacements "
        "of the supercell, if the crystal's symmetry leaves no more labels to do than this, and follow the softest "
        "direction down if it is unstable. 0: never.",
    )
    tolerance_eV: float = Field(
        0.01,
        gt=0,
        description="A structure counts as lower if the high-fidelity engine has it more than this below the perfect "
        "supercell, eV per supercell.",
    )
    accept_unstable: bool = Field(
        False,
        description="Go on although a lower structure of the crystal is known. Defects can then gain energy by "
        "taking the crystal there; the page warns of it.",
    )


class HostSettings(Settings):
    """The perfect crystal."""

    file: FilePath = Field(description="Structure file of the host: POSCAR, CIF or anything pymatgen reads.")
    supercell: SupercellSettings = Field(description="The supercell.")
    multiplicity: int | None = Field(
        None,
        ge=1,
        description="Spin multiplicity of the supercell. Left out, all electrons are paired. This is refused for a "
        "host, or an atom added by a defect, with an open d or f shell (NiO, Ti2O3). 1 states that the electrons are "
        "paired there, too (low spin). More is a ferromagnet: one more than its unpaired electrons, all parallel; then "
        "every charge state has `multiplicities`, too. Other magnetic order is not computed.",
    )
    relax: Literal["none", "positions", "volume", "cell"] = Field(
        description="Relaxation of the host with the high-fidelity engine before anything else: `none`, `positions` "
        "(cell kept), `volume` (shape kept, atoms free) or `cell` (symmetry kept). The relaxed crystal is written to "
        "`host/unitcell.vasp`. Give it as `file` with `none`: then a change of that engine keeps the geometries and "
        "all low-fidelity labels."
    )
    taken_as_perfect: bool = Field(
        False,
        description="Take the file as the perfect crystal even if it looks like a supercell with a point defect, as "
        "ordered models of alloys do. The risk: if it does hold a defect, every formation energy is relative to a "
        "crystal with it, and other sites are made from its surroundings.",
    )
    relax_fmax_eV_A: float = Field(0.02, gt=0, description="Convergence of that relaxation, eV/A.")
    relax_max_steps: int = Field(60, gt=0, description="Step limit of that relaxation.")

    stability: StabilitySettings | None = Field(
        None,
        description="Test that the perfect supercell is no higher than what distortions of it relax to, before the "
        "first defect has a high-fidelity label; the study stops where it is. Left out, it is not tested, and the page "
        "says so. `defectscape new` writes it.",
    )

    @property
    def ferromagnet(self) -> int | None:
        """The multiplicity of a supercell whose moments are parallel; None where all electrons are paired."""
        return self.multiplicity if self.multiplicity is not None and self.multiplicity > 1 else None


Learns = Literal["none", "labels", "weights"]


class DefectSettings(Settings):
    """One defect and its charge states."""

    name: DefectName = Field(
        description="Vacancy `v_Cd`, antisite or substitution `Te_Cd`, interstitial `i_Cd`; with an index (`v_Sb_1`) "
        "where the host has inequivalent sites. An element that the host lacks is a dopant: `Cl_Te`, `i_Cu_1`. doped's "
        "names (`Cd_i_C3v`) are taken, too. Two of them with + between are a pair: `v_Cd+Cl_Te` with its partners as "
        "near as the crystal allows, `v_Cd+Cl_Te_shell2` at the next distance. Where a distance has arrangements that "
        "symmetry does not connect, a letter tells them apart, `v_Zn+N_O_shell1a`. `defectscape check` lists what "
        "the host has, what tells sites apart, and the distance and number of ways of the study's pairs.",
    )
    charges: list[Charge] = Field(
        min_length=1, description="Charge states explored together, signed and quoted: ['0', '-1']."
    )
    added_charges: list[Charge] = Field(
        [],
        description="Charge states added later. They are explored on top of the others, and nothing of the others is "
        "computed again.",
    )
    learns: Learns = Field(
        "none",
        description="What its exploration takes from the defects before it in this list, once these are verified: "
        "`labels`, all of theirs join its trainings; `weights`, the labels, and its first training also starts from "
        "the last models of the defect before it. They never depend on it. `none`: nothing, and its exploration runs "
        "beside theirs.",
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
