"""Ground states, formation energies and transition levels of a study."""

from dataclasses import dataclass

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.level import (
    ChemicalPotentialLimit,
    FormationEnergy,
    HostEnergies,
    TransitionLevel,
)
from defectscape.files.tables import decode, read_json, write_json
from defectscape.study.context import StudyContext
from defectscape.thermo.concentrations import Equilibrium


@dataclass(frozen=True, eq=False)
class GroundState:
    """The ground state of one key, with what its energy rests on.

    Attributes:
        key, group: defect key and exploration group.
        rank: the model's rank of the minimum.
        frame: its structure.
        energy_eV: the engine's energy if verified, else the committee mean, eV.
        uncertainty_eV, uncertainty_origin: one standard deviation, eV, and what it is made of.
        verified: whether the engine computed it.
        relaxation_left_eV: what relaxing it further would still gain, eV; None if not verified, or
            if that relaxation failed or left the basin.
    """

    key: DefectKey
    group: str
    rank: int
    frame: Frame
    energy_eV: float
    uncertainty_eV: float
    uncertainty_origin: str
    verified: bool
    relaxation_left_eV: float | None


@dataclass(frozen=True, eq=False)
class Levels:
    """Everything the thermo stage found."""

    ground_states: tuple[GroundState, ...]
    host: HostEnergies
    limits: tuple[ChemicalPotentialLimit, ...]
    formation: tuple[FormationEnergy, ...]
    levels: tuple[TransitionLevel, ...]
    equilibria: tuple[Equilibrium, ...]


def read_levels(context: StudyContext) -> Levels:
    """What the thermo stage wrote."""
    found: Levels = decode(Levels, read_json(context.layout.energies))
    return found


def write_levels(context: StudyContext, levels: Levels) -> None:
    """Write it."""
    write_json(context.layout.energies, levels)
