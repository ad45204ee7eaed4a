"""Electrostatic potentials at the atoms, as the finite-size correction reads them."""

from dataclasses import dataclass
from pathlib import Path

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats
from defectscape.files.tables import decode, read_json


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


def read_potentials(path: Path) -> SitePotentials:
    """What a job of this stage wrote.

    Raises:
        ThermoError: if there is nothing in it.
    """
    content = read_json(path)
    if content is None:
        raise ThermoError(str(path), "has no potentials", "Look at the log of its job")
    found: SitePotentials = decode(SitePotentials, content)
    return found
