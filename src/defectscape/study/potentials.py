"""Electrostatic potentials at the atoms, as the finite-size correction reads them."""

from dataclasses import dataclass

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats
from defectscape.domain.keys import DefectKey
from defectscape.files.codec import decode
from defectscape.files.tables import read_json, write_json
from defectscape.study.context import StudyContext


@dataclass(frozen=True, eq=False)
class SitePotentials:
    """Potentials at the atoms of one structure.

    Attributes:
        frame_id: the structure.
        energy_eV: its energy in this calculation, eV.
        potentials_V: at each atom, (n,), V.
        engine_version: which program.
        core_s: what it cost, core-seconds.
    """

    frame_id: str
    energy_eV: float
    potentials_V: Floats
    engine_version: str
    core_s: float


def read_potentials(context: StudyContext, name: DefectKey | str) -> SitePotentials:
    """Potentials of the ``host``, or of the ground state of a defect key.

    Raises:
        ThermoError: if there are none, since the search found no minimum.
    """
    found = read_potentials_if_any(context, name)
    if found is None:
        raise ThermoError(
            f"potentials of {name}", "there are none, as the search found no minimum", "Look at the log of its search"
        )
    return found


def read_potentials_if_any(context: StudyContext, name: DefectKey | str) -> SitePotentials | None:
    """The same; None if there are none."""
    content = read_json(context.layout.potentials(name))
    found: SitePotentials | None = decode(SitePotentials | None, content)
    return found


def write_potentials(context: StudyContext, name: DefectKey | str, potentials: SitePotentials | None) -> None:
    """Write them; None where the search found no minimum."""
    write_json(context.layout.potentials(name), potentials)
