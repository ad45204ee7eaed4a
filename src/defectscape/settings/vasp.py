"""Settings of VASP."""

from typing import Literal

from pydantic import Field, field_validator

from defectscape.settings.base import FilePath
from defectscape.settings.program import Program, Scalar

OWNED = frozenset(
    {
        "NELECT",
        "ISPIN",
        "NUPDOWN",
        "MAGMOM",
        "NSW",
        "IBRION",
        "ISYM",
        "ISIF",
        "ENCUT",
        "EDIFF",
        "LHFCALC",
        "AEXX",
        "HFSCREEN",
        "GGA",
        "METAGGA",
        "ISMEAR",
        "SIGMA",
        "SYSTEM",
    }
)
"""INCAR tags that are set by a key of ours, by the frame, or are no choice in a single point."""


class VaspSettings(Program):
    """VASP: PAW, PBE to HSE06, charged and spin-polarised cells; its licence and POTCARs are yours."""

    kind: Literal["vasp"] = Field(description="`vasp`: VASP.")
    functional: Literal["pbe", "pbesol", "hse06"] = Field(
        description="Exchange and correlation; other hybrids by `exx_fraction` and screening."
    )
    potcar_dir: FilePath = Field(
        description="Folder with one subfolder per pseudopotential, as VASP delivers them, each with "
        "a `POTCAR` or `POTCAR.gz`."
    )
    potcars: dict[str, str] = Field(min_length=1, description="Subfolder of each element there: `{Cd: Cd, Te: Te_GW}`.")
    potcar_titles: dict[str, str] = Field(
        {},
        description="`TITEL` of each element's POTCAR: another one is refused, and stored labels can be "
        "used where the files are absent.",
    )
    cutoff_eV: float = Field(gt=0, description="Plane-wave cutoff (ENCUT), eV.")
    kpoints: list[int] = Field(
        min_length=3, max_length=3, description="Gamma-centred mesh; `vasp_gam` needs [1, 1, 1]."
    )
    smearing_eV: float = Field(0.05, gt=0, description="Gaussian smearing (SIGMA), eV.")
    convergence_eV: float = Field(1e-6, gt=0, description="SCF energy convergence (EDIFF), eV.")
    exx_fraction: float = Field(0.25, gt=0, le=1, description="Share of exact exchange in HSE06 (AEXX).")
    screening_1_A: float = Field(0.208, ge=0, description="Screening of exact exchange in HSE06 (HFSCREEN), 1/A.")
    incar: dict[str, Scalar] = Field({}, description="INCAR tags over doped's: `{NCORE: 4, LREAL: false}`.")

    @field_validator("kpoints")
    @classmethod
    def _positive(cls, value: list[int]) -> list[int]:
        if min(value) < 1:
            raise ValueError("three positive integers are expected")
        return value

    @field_validator("incar")
    @classmethod
    def _not_ours(cls, value: dict[str, Scalar]) -> dict[str, Scalar]:
        for name in value:
            if name.upper() in OWNED:
                raise ValueError(f"{name} is set by a key of its own, or follows from the frame")
            if not name.isalnum() and not name.replace("_", "").isalnum():
                raise ValueError(f"{name!r} is not an INCAR tag")
        return value

    @property
    def method(self) -> str:
        """The level of theory in the field's words."""
        return {"pbe": "PBE", "pbesol": "PBEsol", "hse06": "HSE06"}[self.functional]
