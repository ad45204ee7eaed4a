"""What all engines that run an external program share."""

from pydantic import Field

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
