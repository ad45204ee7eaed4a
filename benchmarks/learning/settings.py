"""The model benchmark: which data, which runs, how long each is trained, and the documents generated from its settings.

A test compares the documents with the committed files.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from benchmarks.hard.variants import HardBenchmark
from defectscape.settings.base import FilePath, Settings
from defectscape.settings.documents import sections
from defectscape.settings.load import load_settings
from defectscape.settings.training import Strategy, TrainingSettings

Selector = Literal["random", "spread", "disagreement", "half"]


class DataSetPair(Settings):
    """Labels of one defect at two fidelities."""

    name: str = Field(pattern=r"^[A-Za-z0-9_]+$", description="Short name, for files and figures.")
    low: list[FilePath] = Field(
        min_length=1,
        description="Data sets of the low fidelity (or the one), their cards beside them.",
    )
    high: list[FilePath] = Field(
        min_length=1,
        description="Data sets of the high fidelity (or the one), their cards beside them.",
    )
    high_labels: list[int] = Field(
        min_length=1,
        description="Numbers of high-fidelity training labels: the points of the learning curve.",
    )
    split: Literal["families", "structures"] = Field(
        "families",
        description="`families`: a start and all that was made from it stay on one side. `structures`: every "
        "structure in a charge state is a family of its own. Relatives of the held-out ones then train, the same "
        "geometry in another charge state among them. Errors are smaller and say nothing of what was never seen; the "
        "difference between the two measures the benefit of relatives.",
    )
    strategies: list[Strategy] | None = Field(
        None, description="Strategies trained on it. None: all of the benchmark's."
    )
    priors: list[str] = Field(
        [""],
        min_length=1,
        description="Names of the priors that are taken off the labels, one after the other; empty for none.",
    )
    novel: list[FilePath] = Field(
        [],
        description="Data sets of the high fidelity whose errors are measured, in the place of families held out: "
        "structures that were found after the others, in the charges that `novel_charges` names.",
    )
    novel_charges: list[int] = Field([], description="Charges of the novel structures that are measured, e.")
    test_families: int = Field(ge=0, description="Families held out for the errors; 0 where `novel` is given.")
    valid_families: int = Field(ge=1, description="Families that stop the training.")
    centre: list[float] | None = Field(
        None,
        min_length=3,
        max_length=3,
        description="Fractional coordinates of the defect, for descriptors that see it apart.",
    )

    @model_validator(mode="after")
    def _something_is_measured(self) -> "DataSetPair":
        if bool(self.novel) == bool(self.test_families):
            raise ValueError(f"data {self.name}: give either test_families above 0 or novel")
        if bool(self.novel) != bool(self.novel_charges):
            raise ValueError(f"data {self.name}: novel and novel_charges belong together")
        return self

    @field_validator("low", "high", "novel", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return [value] if isinstance(value, str | Path) else value


class PriorData(Settings):
    """The values of a prior for the structures of data sets."""

    name: str = Field(pattern=r"^[A-Za-z0-9_]+$", description="Short name, for files and figures.")
    values: list[FilePath] = Field(
        min_length=1, description="Data sets whose labels are the prior's, of every structure that is used."
    )


class Schedule(Settings):
    """How long a run is trained."""

    name: str = Field(pattern=r"^[A-Za-z0-9_]+$", description="Short name, for files and figures.")
    steps: int = Field(gt=0, description="Optimiser steps at most, of all phases of a strategy together.")
    patience: int = Field(gt=0, description="Validations without improvement before it stops.")
    high_labels: list[int] | None = Field(
        None, description="Points of the learning curve trained so. None: all of the data set's."
    )
    strategies: list[Strategy] | None = Field(None, description="Strategies trained so. None: all of the benchmark's.")
    data: list[str] | None = Field(None, description="Data sets trained so. None: all.")


class SelectionTrial(Settings):
    """High-fidelity labels chosen in different ways, at the same number."""

    data: str = Field(description="Name of the data set; all its frames have both labels.")
    strategy: Strategy = Field("heads", description="Strategy of all runs.")
    first: int = Field(gt=0, description="Labels before the choice, the same in all runs.")
    second: int = Field(gt=0, description="Labels after it.")
    selectors: list[Selector] = Field(
        ["random", "spread", "disagreement", "half"],
        description=(
            "Ways to choose the new labels: at random, by farthest points, by committee disagreement, "
            "or half by disagreement and the rest by farthest points, as a study does."
        ),
    )
    committee: int = Field(3, ge=2, description="Members whose disagreement chooses.")


class ModelBenchmark(Settings):
    """Learning curves of all strategies on the same families, labels and seeds."""

    name: str = Field(pattern=r"^[A-Za-z0-9_]+$", description="Name; files go to its folder.")
    seed: int = Field(description="Seed from which every run's own seed is derived.")
    data: list[DataSetPair] = Field(min_length=1, description="The data sets.")
    strategies: list[Strategy] = Field(min_length=1, description="Strategies to compare.")
    priors: list[PriorData] = Field([], description="Energies and forces that may stand under the models.")
    without_charge: list[Strategy] = Field(
        [],
        description="Strategies trained once more, under the first schedule, without the charge.",
    )
    without_charge_labels: list[int] | None = Field(
        None, description="Points of the learning curve trained so. None: all of the data set's."
    )
    calibrated: list[Strategy] | None = Field(
        None,
        description="Strategies whose last point gets a committee, for calibration. None: all.",
    )
    repeats: int = Field(
        ge=1,
        description="Repetitions; each holds out other families, draws other labels, other weights.",
    )
    schedules: list[Schedule] = Field(min_length=1, description="Trainings of every run.")
    committee: int = Field(2, ge=2, description="Members of the last point's committees, whose spread is calibrated.")
    selection: list[SelectionTrial] = Field([], description="Trials of active selection.")
    training: TrainingSettings = Field(description="Architecture and optimisation; steps are the schedules'.")

    @model_validator(mode="after")
    def _names(self) -> "ModelBenchmark":
        for thing, names in (
            ("data", [pair.name for pair in self.data]),
            ("schedules", [schedule.name for schedule in self.schedules]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"two {thing} of one name: {', '.join(names)}")
        known = {pair.name for pair in self.data}
        for thing, asked in (
            *(("selection", [trial.data]) for trial in self.selection),
            *((f"schedule {schedule.name}", schedule.data or []) for schedule in self.schedules),
        ):
            for name in asked:
                if name not in known:
                    raise ValueError(f"{thing} of {name!r}; data are {', '.join(sorted(known))}")
        priors = {"", *(prior.name for prior in self.priors)}
        known_priors = ", ".join(sorted(priors - {""})) or "none"
        for pair in self.data:
            for name in pair.priors:
                if name not in priors:
                    raise ValueError(f"data {pair.name}: no prior {name!r}; there are {known_priors}")
        if "delta" in self.without_charge:
            raise ValueError("without_charge: delta needs the charge to pair a structure's two labels; leave it out")
        for thing, name, chosen in (
            *(("schedule", schedule.name, schedule.strategies) for schedule in self.schedules),
            *(("data set", pair.name, pair.strategies) for pair in self.data),
        ):
            for strategy in chosen or []:
                if strategy not in self.strategies:
                    raise ValueError(
                        f"{thing} {name} has {strategy}; the benchmark's strategies are {', '.join(self.strategies)}"
                    )
        return self


def load_benchmark(path: Path) -> ModelBenchmark:
    """Read and validate a benchmark of models.

    Raises:
        ConfigError: naming the first wrong key, its value and what is expected.
    """
    return load_settings(path, ModelBenchmark, "benchmarks/config/README.md")


HEADER = """# Benchmarks

`snakemake --snakefile benchmarks/Snakefile` trains every strategy on growing numbers of high-fidelity labels and
measures it on geometry families that it has not seen. [The protocol](../../docs/benchmark_protocol.md) says how.

One YAML file describes one benchmark (`--config benchmark=path/to/your.yaml`). Keys of `training` are
[those of a study](../../config/README.md). The last section describes the file of the target `hard` (`--config
hard=path/to/your.yaml`); the studies that it names are studies like any other. This page and `schema.json` are
generated by `python -m benchmarks documents`.
"""


def page() -> str:
    """The documentation of every key, in Markdown."""
    # The training block is described with the study's.
    model = "".join(sections(ModelBenchmark, "", {"training"}))
    return HEADER + model + "".join(sections(HardBenchmark, "defects that reconstruct", set()))


def schema() -> str:
    """The JSON schema, as text."""
    return json.dumps(ModelBenchmark.model_json_schema(), indent=2, sort_keys=True) + "\n"


DOCUMENTS = {"benchmarks/config/README.md": page, "benchmarks/config/schema.json": schema}
"""Generated files, relative to the repository, and what makes them."""
