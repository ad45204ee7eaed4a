"""Options that stand before a subcommand, in the package's command and in that of the benchmarks."""

from pathlib import Path
from typing import Annotated

import typer

STUDY = Path("config/config.yaml")
"""The study's YAML file, where none is given."""

RESULTS = Path("results")
"""Folder of all studies' results, where none is given."""

LogFile = Annotated[Path | None, typer.Option(help="Write the full log to this file.")]
