"""Engines, fidelities and the prior: which electronic structure computes which labels, and what is under the model.

Also how labels are packed into the jobs of a cluster.
"""

import math
from typing import Annotated

from pydantic import Field, model_validator

from defectscape.settings.ase_calculator import NONE, AseSettings
from defectscape.settings.base import Settings
from defectscape.settings.espresso import EspressoSettings
from defectscape.settings.tblite import TbliteSettings
from defectscape.settings.vasp import VaspSettings

EngineSettings = Annotated[
    TbliteSettings | EspressoSettings | VaspSettings | AseSettings,
    Field(discriminator="kind", description="The engine and its settings."),
]


def tells_spins(engine: EngineSettings) -> bool:
    """Whether an engine's energy depends on the spin by more than the occupation of levels.

    The Hamiltonians of tblite have no exchange between spins: at one geometry the lowest multiplicity is the lowest
    in energy, whatever the truth. A calculator that is told no multiplicity has one energy for all.
    """
    if isinstance(engine, TbliteSettings):
        return False
    return not isinstance(engine, AseSettings) or engine.multiplicity != NONE


class FidelitySettings(Settings):
    """A level of theory: a name, which is also the model head's name, and its engine."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Name of the level; the model's head and the report use it.",
    )
    engine: EngineSettings
    max_force_eV_A: float = Field(
        30.0,
        gt=0,
        description="Labels with a larger force on an atom are kept but not trained on, eV/A.",
    )
    max_energy_jump_eV: float = Field(
        0.5,
        gt=0,
        description="A label is kept but not trained on if its energy differs by more than this from what the "
        "energies and forces of its nearest neighbours predict, eV.",
    )


class FidelitiesSettings(Settings):
    """The cheap, dense level and the expensive, sparse one."""

    low: FidelitySettings = Field(description="Cheap level: labels the whole pool.")
    high: FidelitySettings = Field(description="Expensive level: labels the selection, and decides.")


class PriorSettings(Settings):
    """Cheap energies and forces that are taken off every label before training, and put back afterwards.

    The model then learns what they leave. What the prior knows of bonds and charges that no label has shown, the
    model need not extrapolate.
    """

    engine: EngineSettings
    landscape: EngineSettings | None = Field(
        None,
        description="An engine for the energy surface that all charge states share, commonly a foundation potential. "
        "The prior is then its energy, plus what the charge adds: `engine` in the state's charge less `engine` in "
        "charge 0.",
    )
    processes: int = Field(
        1,
        gt=0,
        description="Number of structures that one search, labelling or evaluation computes at the same time, a core "
        "each. Results do not depend on it.",
    )


FILLED = 0.8
"""Share of a job's time that its labels are planned to take: chunks are drawn by chance, so some are larger."""


class LabelCost(Settings):
    """What one label of a fidelity takes."""

    label_s: float = Field(
        gt=0,
        description="Wall time of one label on its cores, s. `defectscape check --measure` and `defectscape status` "
        "tell what labels took. Where it is too small, jobs end before their labels do and run again; where it is "
        "too large, there are more jobs than needed.",
    )
    label_cores: int = Field(
        1,
        gt=0,
        description="Cores of one label: of a program, the ranks that its command starts times their threads; an "
        "engine that is a library (tblite, ase) gets as many threads.",
    )
    label_MB: int = Field(2000, gt=0, description="Memory of one label, MB.")


class PackingSettings(Settings):
    """Labelling jobs of a stated wall time, in which labels are computed side by side."""

    job_minutes: int = Field(
        gt=1,
        description="Wall time of a labelling job, minutes: what the batch system is asked for. A job ends shortly "
        "before, says what is left, and goes on with it when it runs again.",
    )
    job_cores: int = Field(
        gt=0, description="Cores of a labelling job, all on one node. With fewer at hand, it takes those."
    )
    low: LabelCost = Field(description="Labels of the low fidelity.")
    high: LabelCost = Field(description="Labels of the high fidelity.")

    @model_validator(mode="after")
    def _holds_a_label(self) -> "PackingSettings":
        for level in ("low", "high"):
            cost = self.cost(level)
            if cost.label_cores > self.job_cores:
                raise ValueError(
                    f"job_cores {self.job_cores} are fewer than {level}.label_cores {cost.label_cores}; "
                    "give a job at least the cores of one label"
                )
            if cost.label_s > self.usable_s:
                raise ValueError(
                    f"job_minutes {self.job_minutes} leave {self.usable_s:.0f} s for labels, and {level}.label_s is "
                    f"{cost.label_s:g}; give a job more minutes"
                )
        return self

    def cost(self, level: str) -> LabelCost:
        """What a label of the ``low`` or the ``high`` fidelity takes."""
        return {"low": self.low, "high": self.high}[level]

    @property
    def usable_s(self) -> float:
        """Wall time of a job until it must end by itself, s: batch systems count from before its first program."""
        return 60.0 * self.job_minutes - min(90.0, 9.0 * self.job_minutes)

    def side_by_side(self, level: str) -> int:
        """How many labels a job computes at once."""
        return self.job_cores // self.cost(level).label_cores

    def jobs(self, labels: int, level: str) -> int:
        """How many jobs so many labels are spread over."""
        in_one_job = FILLED * self.usable_s / self.cost(level).label_s * self.side_by_side(level)
        return max(1, math.ceil(labels / max(1.0, in_one_job)))
