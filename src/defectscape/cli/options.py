"""Options that stand before a subcommand, in the package's command and the benchmarks', and what they hand on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

STUDY = Path("config/config.yaml")
"""The study's YAML file, where none is given."""

RESULTS = Path("results")
"""Folder of all studies' results, where none is given."""

LogFile = Annotated[Path | None, typer.Option(help="Write the full log to this file.")]


@dataclass(frozen=True)
class Paths:
    """Where the study is and where results go.

    Attributes:
        study: the study's YAML file.
        results: folder of all studies' results.
        processes: cores of the job, for a prior and for packed labels, or None for as many as the study says.
        partial: whether stages of all groups together take the finished groups alone.
        ends_at: when the job must have ended, Unix time, s; None where nobody ends it.
    """

    study: Path
    results: Path
    processes: int | None = None
    partial: bool = False
    ends_at: float | None = None
