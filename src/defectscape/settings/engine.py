"""Engines, fidelities and the prior: which electronic structure computes which labels, and what is under the model."""

from typing import Annotated

from pydantic import Field

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
        description="Labels whose energy differs by more than this from what their nearest neighbours' "
        "energies and forces make it are kept but not trained on, eV.",
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
        "The prior is then its energy, plus what `engine` says that the charge adds: `engine` in the state's charge "
        "less `engine` in charge 0.",
    )
    processes: int = Field(
        1,
        gt=0,
        description="Structures that one search, labelling or evaluation computes side by side, a core each. "
        "Results do not depend on it.",
    )
