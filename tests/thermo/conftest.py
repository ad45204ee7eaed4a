"""A small zincblende host, its cadmium vacancy, and states of it with made-up energies."""

from collections.abc import Callable

import numpy as np
import pytest

from defectscape.domain.energies import HostEnergies, StateEnergy
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import DefectSite, HostCrystal

SIDE_A = 6.54
BASE = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


@pytest.fixture(scope="session")
def host() -> HostCrystal:
    """CdTe, 2 x 2 x 2 conventional cells, 64 atoms, the first of them a cadmium at the origin."""
    unit = np.vstack([BASE, BASE + 0.25])
    numbers = np.array([48] * 4 + [52] * 4)
    shifts = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    positions = (unit[None] + shifts[:, None]).reshape(-1, 3) * SIDE_A
    return HostCrystal(
        formula="CdTe",
        spacegroup="F-43m",
        unit_numbers=numbers,
        unit_positions_A=unit * SIDE_A,
        unit_cell_A=np.eye(3) * SIDE_A,
        matrix=2 * np.eye(3, dtype=int),
        numbers=np.tile(numbers, 8),
        positions_A=positions,
        cell_A=2 * np.eye(3) * SIDE_A,
        min_image_distance_A=2 * SIDE_A,
    )


@pytest.fixture(scope="session")
def sites() -> tuple[DefectSite, ...]:
    return (
        DefectSite("v_Cd", "v_Cd_Td", "vacancy", None, "Cd", (0.0, 0.0, 0.0), 1),
        DefectSite("Te_Cd", "Te_Cd_Td", "substitution", "Te", "Cd", (0.0, 0.0, 0.0), 1),
    )


@pytest.fixture(scope="session")
def energies() -> HostEnergies:
    return HostEnergies(bulk_energy_eV=-32 * 6.0, vbm_eV=2.3, gap_eV=1.5)


@pytest.fixture(scope="session")
def vacancy(host: HostCrystal) -> Callable[[int], Frame]:
    """The unrelaxed cadmium vacancy in a charge state."""

    def make(charge: int) -> Frame:
        numbers = host.numbers[1:]
        return Frame(
            numbers,
            host.positions_A[1:],
            host.cell_A,
            DefectKey("v_Cd", charge),
            lowest_multiplicity(numbers, charge),
            Origin.MINIMUM,
            "v_Cd/unperturbed",
        )

    return make


@pytest.fixture(scope="session")
def states(vacancy: Callable[[int], Frame]) -> tuple[StateEnergy, ...]:
    """v_Cd in 0, -1 and -2, raw energies chosen so that levels lie in the gap."""
    raw_eV = {0: -186.0, -1: -183.2, -2: -180.1}
    return tuple(StateEnergy(DefectKey("v_Cd", q), vacancy(q), energy, 0.01, True) for q, energy in raw_eV.items())
