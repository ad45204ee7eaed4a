"""The benchmark of defects that reconstruct: which studies, how often, with which priors.

A variant of a study has the same host and defects, another seed, a prior or none, and options of the search.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator

from defectscape.domain.errors import ConfigError
from defectscape.files.text import write_text
from defectscape.settings.base import FilePath, Settings
from defectscape.settings.load import load_settings, load_study, read_yaml
from defectscape.settings.study import Study
from defectscape.study.context import StudyContext
from defectscape.study.layout import Layout

PriorName = Literal["none", "low"]
OptionName = Literal["plain", "more_starts", "settled", "more_starts_settled"]
MORE_STARTS_IN_ROUNDS = 24
"""Further starts of a charge state in a search of a round, at most; the final search takes the default."""
SETTLED_EV = 0.05
MOST_ROUNDS = 6
"""Rounds of a study whose charge states may settle."""


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
    options: list[OptionName] = Field(
        ["plain"],
        min_length=1,
        description="`plain`: the study as it is. `more_starts`: searches go on until nothing new comes "
        "(`until_nothing_new`). `settled`: up to six rounds, which end where charge states are settled (`settled_eV`). "
        "`more_starts_settled`: both.",
    )
    label_store: FilePath = Field(description="Folder of the label store of all of them.")

    @field_validator("seeds", "priors", "studies", "options")
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


HEADER = "# Written by `python -m benchmarks hard-study` from {file}.\n"


@dataclass(frozen=True)
class Variant:
    """A study that the benchmark runs.

    Attributes:
        base: name of the study that it is made from.
        file: that study's file.
        seed: of the variant.
        prior: ``none``, or ``low`` for the engine of the low level.
        option: of the search.
    """

    base: str
    file: Path
    seed: int
    prior: PriorName
    option: OptionName = "plain"

    @property
    def name(self) -> str:
        """Name of the study."""
        option = "" if self.option == "plain" else f"_{self.option}"
        return f"{self.base}_{self.seed}" + ("" if self.prior == "none" else "_prior") + option

    @property
    def method(self) -> str:
        """The prior, and the option where there is one: what results are told apart by."""
        return self.prior if self.option == "plain" else f"{self.prior}, {self.option.replace('_', ' ')}"

    def context(self, label_store: Path, results: Path) -> StudyContext:
        """The study, run or not, with its files in ``results``."""
        study = Study.model_validate(settings_of(self, label_store), context={"folder": Path()})
        return StudyContext(study, Layout(results / study.study))


def base_names(benchmark: HardBenchmark) -> dict[str, Path]:
    """Names of the studies with their files."""
    return {load_study(file).study: file for file in benchmark.studies}


def variants_of(benchmark: HardBenchmark) -> Iterator[Variant]:
    """All variants, study by study."""
    for base, file in base_names(benchmark).items():
        for prior, option in product(benchmark.priors, benchmark.options):
            for seed in benchmark.seeds:
                yield Variant(base, file, seed, prior, option)


def find_variant(benchmark: HardBenchmark, name: str) -> Variant:
    """The variant of that name.

    Raises:
        ConfigError: if there is none.
    """
    known = {variant.name: variant for variant in variants_of(benchmark)}
    if name not in known:
        raise ConfigError("study", repr(name), f"The benchmark has {', '.join(known)}")
    return known[name]


def settings_of(variant: Variant, label_store: Path) -> dict[str, Any]:
    """Settings of a variant as plain data; what the study's file leaves to defaults stays out."""
    data = deepcopy(read_yaml(variant.file))
    data |= {"study": variant.name, "seed": variant.seed, "label_store": str(label_store)}
    if variant.prior == "low":
        data["prior"] = {"engine": data["fidelities"]["low"]["engine"]}
        # The low level's labels less the prior are zero: nothing can be learned from them.
        for section in (data.setdefault("exploration", {}), data):
            section.setdefault("training", {})["strategy"] = "high_only"
    if "more_starts" in variant.option:
        in_rounds = data.setdefault("exploration", {}).setdefault("search", {})
        in_rounds["until_nothing_new"] = {"at_most": MORE_STARTS_IN_ROUNDS}
        data.setdefault("search", {})["until_nothing_new"] = {}
    if "settled" in variant.option:
        data.setdefault("exploration", {}).update({"settled_eV": SETTLED_EV, "rounds": MOST_ROUNDS})
    return data


def write_variant(variant: Variant, label_store: Path, target: Path) -> None:
    """Write the study's file of a variant.

    Raises:
        ConfigError: if it is no valid study.
    """
    text = yaml.safe_dump(settings_of(variant, label_store), sort_keys=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, HEADER.format(file=variant.file) + text)
    load_study(target)


def truth_context(benchmark: HardBenchmark, base: str, scratch: Path) -> StudyContext:
    """The study whose starts the engine relaxes: the file's own, in a folder of its own.

    Raises:
        ConfigError: if the benchmark has no such study.
    """
    known = base_names(benchmark)
    if base not in known:
        raise ConfigError("study", repr(base), f"The benchmark has {', '.join(known)}")
    study = load_study(known[base]).model_copy(update={"label_store": benchmark.label_store})
    return StudyContext(study, Layout(scratch / "starts" / base))
