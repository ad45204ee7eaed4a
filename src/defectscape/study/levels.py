"""Ground states, formation energies and transition levels of a study."""

from dataclasses import dataclass

from defectscape.domain.energies import (
    ChemicalPotentialLimit,
    FormationEnergy,
    HostEnergies,
    MemberEnergies,
    TransitionLevel,
)
from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
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
        members: the energies by the committee that searched the group, if not verified.
    """

    key: DefectKey
    group: str
    rank: int
    frame: Frame
    energy_eV: float
    uncertainty_eV: float
    uncertainty_origin: str
    verified: bool
    members: MemberEnergies | None


@dataclass(frozen=True, eq=False)
class Levels:
    """Everything the thermo stage found.

    Attributes:
        ground_states: of all keys that have one.
        host: the host's energies.
        limits: of the chemical potentials.
        formation: formation energies, in each limit.
        levels: transition levels.
        equilibria: concentrations, if asked for.
        warnings: what bears on these numbers, as libraries and corrections say it.
    """

    ground_states: tuple[GroundState, ...]
    host: HostEnergies
    limits: tuple[ChemicalPotentialLimit, ...]
    formation: tuple[FormationEnergy, ...]
    levels: tuple[TransitionLevel, ...]
    equilibria: tuple[Equilibrium, ...]
    warnings: tuple[str, ...] = ()


def read_levels(context: StudyContext) -> Levels:
    """What the thermo stage wrote."""
    # Studies that were finished before this stage kept warnings stay readable.
    found: Levels = decode(Levels, {"warnings": [], **read_json(context.layout.energies)})
    return found


def write_levels(context: StudyContext, levels: Levels) -> None:
    """Write it."""
    write_json(context.layout.energies, levels)
