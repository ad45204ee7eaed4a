"""The benchmark of defects that reconstruct: which studies, how often, with which priors."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from defectscape.settings.base import FilePath, Settings
from defectscape.settings.load import load_settings

PriorName = Literal["none", "low"]


class HardBenchmark(Settings):
    """Studies of defects that reconstruct; each is run with every seed and every prior."""

    name: str = Field(pattern=r"^[A-Za-z0-9_]+$", description="Name of the benchmark; its result is `<name>.json`.")
    studies: list[FilePath] = Field(min_length=1, description="Files of the studies, one for each host.")
    seeds: list[int] = Field(
        min_length=1,
        description="Seeds of the studies. The starts that the engine relaxes for the truth are those of the file's "
        "own seed.",
    )
    priors: list[PriorName] = Field(
        min_length=1,
        description="`none`: the study as it is. `low`: the engine of its low level is the prior, and all trainings "
        "take `high_only`.",
    )
    label_store: FilePath = Field(description="Folder of the label store of all of them.")

    @field_validator("seeds", "priors", "studies")
    @classmethod
    def _are_different(cls, values: list[object]) -> list[object]:
        if len(set(values)) != len(values):
            raise ValueError("the same is listed twice; remove one")
        return values


def load_hard(path: Path) -> HardBenchmark:
    """Read and validate such a benchmark.

    Raises:
        ConfigError: naming the first wrong key, its value and what is expected.
    """
    return load_settings(path, HardBenchmark, "benchmarks/config/README.md")
