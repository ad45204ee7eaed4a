"""What all engines that run an external program share."""

import shlex

from pydantic import Field, field_validator

from defectscape.settings.base import FilePath, Settings

Scalar = str | bool | int | float
"""A value of an input file's keyword."""


class Program(Settings):
    """An external program: how it is called, for how long, and where it works."""

    command: str = Field(
        min_length=1,
        description="The program as typed, without a shell: `pw.x`, `srun vasp_gam`.",
    )
    time_limit_s: float = Field(
        86400.0, gt=0, description="Wall time after which one calculation is ended and fails, s."
    )
    scratch: FilePath | None = Field(
        None,
        description="Folder for the files of running calculations, removed afterwards; left out, the "
        "system's temporary folder (`TMPDIR`). With MPI over several nodes all must see it.",
    )

    @field_validator("command")
    @classmethod
    def _is_words(cls, value: str) -> str:
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"it cannot be split into words ({error})") from error
        if not words:
            raise ValueError("give the program's name")
        return value
