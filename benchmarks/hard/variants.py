"""The benchmark of defects that reconstruct: which studies, how often, with which priors.

A variant of a study has the same host and defects, another seed, and a prior or none.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
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
TrialName = Literal["recharged", "taught", "more_starts", "settled"]

TRIALS: dict[TrialName, dict[str, dict[str, Any]]] = {
    "recharged": {"selection": {"recharged_per_charge_per_round": 2}},
    "taught": {"defects": {"learns": "weights"}},
    "more_starts": {
        "search": {"until_nothing_new": {}},
        "exploration": {"search": {"until_nothing_new": {"at_most": 24}}},
    },
    "settled": {"exploration": {"settled_eV": 0.05, "rounds": 6}},
}
"""What a trial sets in a study, section by section; in each of its defects where that is a list."""


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
    trials: list[TrialName] = Field(
        [],
        description="Settings that are tried beside the studies as they are, each with every study, seed and prior. "
        "They are run one by one, and gathered where they have finished. `recharged`: charge states label each other's "
        "lowest structures, `recharged_per_charge_per_round: 2`. `taught`: defects learn from those before them, "
        "`learns: weights`. `more_starts`: searches go on until nothing new comes, `until_nothing_new`. `settled`: up "
        "to six rounds, which end where charge states are settled, `settled_eV: 0.05`.",
    )
    label_store: FilePath = Field(description="Folder of the label store of all of them.")

    @field_validator("seeds", "priors", "studies", "trials")
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
        trial: what is tried in it; None for the study as it is.
    """

    base: str
    file: Path
    seed: int
    prior: PriorName
    trial: TrialName | None = None

    @property
    def name(self) -> str:
        """Name of the study."""
        prior = "" if self.prior == "none" else "_prior"
        return f"{self.base}_{self.seed}{prior}" + ("" if self.trial is None else f"_{self.trial}")

    def context(self, label_store: Path, results: Path) -> StudyContext:
        """The study, run or not, with its files in ``results``."""
        study = Study.model_validate(settings_of(self, label_store), context={"folder": Path()})
        return StudyContext(study, Layout(results / study.study))


def base_names(benchmark: HardBenchmark) -> dict[str, Path]:
    """Names of the studies with their files."""
    return {load_study(file).study: file for file in benchmark.studies}


def variants_of(benchmark: HardBenchmark) -> Iterator[Variant]:
    """All variants that the target runs, study by study."""
    for base, file in base_names(benchmark).items():
        for prior in benchmark.priors:
            for seed in benchmark.seeds:
                yield Variant(base, file, seed, prior)


def with_trials(benchmark: HardBenchmark) -> Iterator[Variant]:
    """These, and beside each of them the same with what is tried."""
    for variant in variants_of(benchmark):
        yield variant
        for trial in benchmark.trials:
            yield replace(variant, trial=trial)


def find_variant(benchmark: HardBenchmark, name: str) -> Variant:
    """The variant of that name.

    Raises:
        ConfigError: if there is none.
    """
    known = {variant.name: variant for variant in with_trials(benchmark)}
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
    for section, values in TRIALS[variant.trial].items() if variant.trial else ():
        _set(data, section, values)
    return data


def _set(data: dict[str, Any], section: str, values: dict[str, Any]) -> None:
    """Set values in a section, those in sections of it included; in each of its entries where it is a list."""
    found = data.setdefault(section, {})
    for part in found if isinstance(found, list) else [found]:
        for name, value in values.items():
            if isinstance(part.get(name), dict) and isinstance(value, dict):
                _set(part, name, value)
            else:
                part[name] = value


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
