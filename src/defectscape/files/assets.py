"""Where the workflow, its environments and profiles, and the example studies are: installed or in a clone."""

from pathlib import Path

import defectscape
from defectscape.domain.errors import ConfigError


def assets() -> Path:
    """The folder with ``Snakefile``, ``workflow/``, ``envs/``, ``profiles/`` and ``config/``.

    In an installed package it lies inside the package, where the build put it; in an editable
    installation it is the clone.

    Raises:
        ConfigError: if neither is there, as in a copy of ``src`` alone.
    """
    package = Path(defectscape.__file__).resolve().parent
    for folder in (package / "assets", package.parents[1]):
        if (folder / "Snakefile").is_file():
            return folder
    raise ConfigError("workflow", f"no Snakefile beside {package}", "Install the package anew")
