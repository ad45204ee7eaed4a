"""Settings of Quantum ESPRESSO's pw.x."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from defectscape.settings.base import FilePath
from defectscape.settings.program import Program, Scalar

OWNED = frozenset(
    {
        "calculation",
        "prefix",
        "outdir",
        "pseudo_dir",
        "disk_io",
        "tprnfor",
        "tstress",
        "restart_mode",
        "ibrav",
        "nat",
        "ntyp",
        "nspin",
        "tot_charge",
        "tot_magnetization",
        "starting_magnetization",
        "ecutwfc",
        "ecutrho",
        "occupations",
        "smearing",
        "degauss",
        "input_dft",
        "exx_fraction",
        "screening_parameter",
        "ecutfock",
        "nqx1",
        "nqx2",
        "nqx3",
        "conv_thr",
        "startingpot",
        "startingwfc",
        "noncolin",
        "lspinorb",
    }
)
"""Keywords of pw.x that are set by a key of ours, by the frame, or by the SCF attempt."""


class EspressoSettings(Program):
    """Quantum ESPRESSO's pw.x: plane waves, PBE to HSE06, charged and spin-polarised cells."""

    kind: Literal["espresso"] = Field(description="`espresso`: Quantum ESPRESSO's pw.x.")
    functional: Literal["pbe", "pbesol", "hse06"] = Field(
        description="Exchange and correlation; HSE06 on top of PBE pseudopotentials."
    )
    pseudo_dir: FilePath = Field(description="Folder of the pseudopotentials; `defectscape pseudos gth` can fill one.")
    pseudopotentials: dict[str, str] = Field(
        min_length=1, description="File of each element (UPF or GTH) in that folder."
    )
    pseudo_sha256: dict[str, str] = Field(
        {},
        description="Checksum of each element's file: another file is refused, and stored labels can "
        "be used where the files are absent.",
    )
    cutoff_Ry: float = Field(gt=0, description="Plane-wave cutoff of the wave functions, Ry.")
    density_cutoff_Ry: float | None = Field(
        None, gt=0, description="Cutoff of the density, Ry; left out, four times the other."
    )
    kpoints: list[int] = Field(
        min_length=3,
        max_length=3,
        description="Gamma-centred mesh; [1, 1, 1] uses pw.x's faster real wave functions.",
    )
    smearing_Ry: float = Field(0.005, gt=0, description="Gaussian smearing of occupations, Ry.")
    empty_bands: int = Field(10, ge=2, description="Empty bands kept: the lowest one is the conduction band's edge.")
    convergence_Ry: float = Field(
        1e-7,
        gt=0,
        description="SCF energy convergence, Ry. 1e-5 with HSE06 changed forces by 3 meV/A (RMS, 39 atoms "
        "of Sb2Se3) at half the cost.",
    )
    potentials_command: str = Field(
        "pp.x",
        min_length=1,
        description="Quantum ESPRESSO's pp.x as typed, for the potentials of `thermo.correction: {kind: efnv}`.",
    )
    exx_fraction: float = Field(0.25, gt=0, le=1, description="Share of exact exchange in HSE06.")
    screening_1_bohr: float = Field(0.106, gt=0, description="Screening of exact exchange in HSE06, 1/bohr.")
    fock_cutoff_Ry: float | None = Field(
        None, gt=0, description="Cutoff of the exchange operator, Ry; left out, `cutoff_Ry`."
    )
    fock_kpoints: list[int] | None = Field(
        None,
        min_length=3,
        max_length=3,
        description="Mesh of the exchange operator's momentum transfers, of which `kpoints` must be a "
        "multiple; left out, `kpoints`. A coarser one is cheaper and wrong in small cells.",
    )
    stress: bool = Field(False, description="Compute the stress, too; needed where the host's cell is relaxed.")
    keywords: dict[Literal["control", "system", "electrons"], dict[str, Scalar]] = Field(
        {}, description="Further keywords by namelist: `{system: {vdw_corr: dft-d3}}`."
    )

    @field_validator("kpoints", "fock_kpoints")
    @classmethod
    def _positive(cls, value: list[int] | None) -> list[int] | None:
        if value is not None and min(value) < 1:
            raise ValueError("three positive integers are expected")
        return value

    @field_validator("keywords")
    @classmethod
    def _not_ours(cls, value: dict[str, dict[str, Scalar]]) -> dict[str, dict[str, Scalar]]:
        for namelist, entries in value.items():
            for name in entries:
                if name.lower() in OWNED:
                    raise ValueError(f"{namelist}.{name} is set by a key of its own, or follows from the frame")
        return value

    @model_validator(mode="after")
    def _stress_is_right(self) -> "EspressoSettings":
        if self.stress and self.functional == "hse06":
            raise ValueError(
                "pw.x's stress of a hybrid functional is wrong (measured against finite differences "
                "of the energy: half of it); relax the host's positions only, or its cell with PBE"
            )
        return self

    @property
    def method(self) -> str:
        """The level of theory in the field's words."""
        return {"pbe": "PBE", "pbesol": "PBEsol", "hse06": "HSE06"}[self.functional]
