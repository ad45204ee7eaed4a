"""What the root command hands to its subcommands."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """Where the study is and where results go.

    Attributes:
        study: the study's YAML file.
        results: folder of all studies' results.
        processes: that a prior may use, or None for as many as the study says.
        partial: whether stages of all groups together take the finished groups alone.
    """

    study: Path
    results: Path
    processes: int | None = None
    partial: bool = False
