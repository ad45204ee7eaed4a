"""Settings of any ASE calculator."""

from typing import Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from defectscape.settings.base import FilePath, Settings

MOMENTS = "magmoms"
"""Place of the multiplicity: the initial magnetic moments of the atoms."""

NONE = "none"
"""Place of what the calculator is not told."""

UNCONVERGED = {"ase.calculators.cp2k.CP2K": {"cp2k.out": "SCF run NOT converged"}}
"""Calculators that return numbers of an unfinished SCF, and the ``failed_if`` that finds it."""


class AseSettings(Settings):
    """Any ASE calculator, named by its class; one new calculator for each label."""

    kind: Literal["ase"] = Field(description="`ase`: an ASE calculator.")
    calculator: str = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$",
        description="The class with its module: `gpaw.GPAW`, `ase.calculators.cp2k.CP2K`.",
    )
    method: str = Field(min_length=1, description="Level of theory in the field's words, for the report: `PBE`.")
    arguments: dict[str, JsonValue] = Field({}, description="Keyword arguments of the class.")
    charge: str = Field(
        min_length=1,
        description="Who is told the total charge, e: the name of a keyword argument, or `info.NAME` for an entry of "
        "`atoms.info`. `none` needs `charge_blind: true`.",
    )
    charge_blind: bool = Field(
        False,
        description="Your statement that the calculator knows no charge, as bulk-trained potentials do. Its energy "
        "and forces are then the same in every charge state of a structure.",
    )
    multiplicity: str = Field(
        min_length=1,
        description="Who is told the spin multiplicity, 2S + 1, as for the charge. `magmoms`: the calculator reads "
        "it from the atoms' initial magnetic moments (2S, spread evenly), and another total moment at the end is a "
        "failure. `none`: the calculator knows no spin.",
    )
    folder: str | None = Field(
        None,
        description="Keyword argument that takes a working folder, for calculators with files.",
    )
    failed_if: dict[str, str] = Field(
        {},
        description="For calculators that return numbers of failed calculations: a file of the working folder, and a "
        "text in it that only a failed calculation writes, `{cp2k.out: SCF run NOT converged}`. Needs `folder`.",
    )
    stress: bool = Field(False, description="Ask for the stress, too.")
    ladder: list[dict[str, JsonValue]] = Field(
        [],
        description="What is tried next if the calculation does not converge: arguments over the first ones, one set "
        "after the other. They must change how a solution is found, not which.",
    )
    revision: str = Field(
        "",
        description="Part of a label's key. Change it when something changes labels that is no argument.",
    )
    time_limit_s: float = Field(
        86400.0, gt=0, description="Wall time after which one calculation is ended and fails, s."
    )
    python: FilePath | None = Field(
        None,
        description="Python interpreter that the calculator runs in, for packages that cannot be installed beside "
        "this one: `.venv-sevennet/bin/python`. It must be 3.9 or newer with numpy and ASE, and does not need this "
        "package. Left out, this Python. No part of a label's key.",
    )
    scratch: FilePath | None = Field(
        None, description="Folder for the working folders; left out, the system's temporary folder."
    )

    @field_validator("charge", "multiplicity")
    @classmethod
    def _a_place(cls, value: str) -> str:
        name = value.removeprefix("info.")
        if not name.isidentifier():
            raise ValueError("give the name of a keyword argument, or info.NAME")
        return value

    @field_validator("charge")
    @classmethod
    def _moments_are_no_charge(cls, value: str) -> str:
        if value == MOMENTS:
            raise ValueError("initial moments tell the spin; a calculator told no charge gives wrong labels in silence")
        return value

    @model_validator(mode="after")
    def _charge_is_told(self) -> Self:
        if self.charge == NONE and not self.charge_blind:
            raise ValueError(
                "a calculator that is not told the charge gives wrong labels in silence, the same for every charge "
                "state; name who is told it in engine.charge, or state charge_blind: true"
            )
        if self.charge_blind and self.charge != NONE:
            raise ValueError(
                f"charge_blind: true says that nobody is told the charge, charge: {self.charge} that "
                "somebody is; write charge: none"
            )
        return self

    @model_validator(mode="after")
    def _unfinished_is_found(self) -> Self:
        mark = UNCONVERGED.get(self.calculator)
        if mark is not None and not self.failed_if:
            raise ValueError(
                f"{self.calculator} returns numbers of an SCF that did not converge; give failed_if: {mark}"
            )
        if self.failed_if and self.folder is None:
            raise ValueError("failed_if reads files of the working folder; give folder, too")
        return self
